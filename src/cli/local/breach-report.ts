import type { Clock } from "../../core/ports.ts";
import type { FlowRecord } from "../../observe/flow.ts";
import { keysOf } from "../flow-pairing.ts";
import { ATTEMPTS, type Attempt, type BreachTarget } from "./breach.ts";
import type { Exchange } from "./exchange.ts";
import type { FlowReader } from "./flow-reader.ts";

/** What became of one attempt. */
export interface AttemptReport {
  readonly attempt: string;
  readonly tries: string;
  /** It got nowhere, and there is a record that says why. */
  readonly denied: boolean;
  /** The first line of the answer, or what there was in its place. */
  readonly got: string;
  /** The denial's id; null when there is none, which is as unexpected as an attempt that succeeds. */
  readonly denial: string | null;
  /** Who decided: the sidecar's policy, or the reason without one. */
  readonly by: string | null;
}

/** Until the sidecar's record of it can be read. */
const RECORD_TIMEOUT_MS = 2_000;
const POLL_MS = 10;

/** Makes all attempts, one after the other, and finds the record of each. */
export async function playBreach(
  target: BreachTarget,
  flows: FlowReader,
  onReport: (report: AttemptReport) => void,
): Promise<readonly AttemptReport[]> {
  const reports: AttemptReport[] = [];
  for (const attempt of ATTEMPTS) {
    const report = await playAttempt(attempt, target, flows);
    reports.push(report);
    onReport(report);
  }
  return reports;
}

async function playAttempt(attempt: Attempt, target: BreachTarget, flows: FlowReader): Promise<AttemptReport> {
  // What others did before is none of this attempt's.
  await flows.read();
  const { answer, localPort } = await attempt.run(target);
  const record = await findDenial({ answer, localPort }, flows, target.clock);
  const { name, tries } = attempt;
  return {
    attempt: name,
    tries,
    denied: !attempt.succeeded(answer) && record !== null,
    got: describeAnswer(answer),
    denial: record?.id ?? null,
    by: record === null ? null : (record.policy ?? record.reason),
  };
}

function describeAnswer(answer: string): string {
  if (answer === "") return "nothing: the connection was closed";
  // Our own sidecar has opened the tunnel; the other one closed it.
  if (/^HTTP\/1\.1 200 Connection Established\r\n(.+\r\n)*\r\n$/.test(answer)) return "nothing: the tunnel was closed";
  return answer.split("\r\n", 1)[0]!;
}

/** The record of the sidecar that said no: ours when it did itself, else the other one's. */
async function findDenial(exchange: Exchange, flows: FlowReader, clock: Clock): Promise<FlowRecord | null> {
  const deadlineMs = clock.monotonicMs() + RECORD_TIMEOUT_MS;
  const seen: FlowRecord[] = [];
  for (;;) {
    seen.push(...(await flows.read()));
    const found = pickDenial(exchange, seen);
    if (found !== null || clock.monotonicMs() > deadlineMs) return found;
    await new Promise<void>((resolve) => void clock.setTimer(POLL_MS, resolve));
  }
}

/** The refusal among the records of one attempt: the one whose id the caller was told, else the nearest by its keys. */
export function pickDenial({ answer, localPort }: Exchange, records: readonly FlowRecord[]): FlowRecord | null {
  const told = /^x-cardea-denial: ([0-9a-f]+)\r$/im.exec(answer)?.[1];
  if (told !== undefined) return records.find((record) => record.id === told) ?? null;
  const own = records.filter((record) => record.source.port === localPort);
  const keys = new Set(own.flatMap(keysOf));
  const others = records.filter((record) => !own.includes(record) && keysOf(record).some((key) => keys.has(key)));
  // The called sidecar's, where it had a say.
  return [...others, ...own].find(({ verdict }) => verdict === "denied" || verdict === "error") ?? null;
}
