import type { FlowRecord } from "../../observe/flow.ts";
import type { AttemptReport } from "./breach-report.ts";

/** What a run came to: the last line of `cardea up --once --json`. */
export interface Summary {
  /** Requests and connections that a sidecar's inbound side let through. */
  readonly allowed: number;
  readonly denied: number;
  /** Sample requests that failed, attempts that were not denied, and denials or errors that nobody played. */
  readonly unexpected: number;
  /** SPIFFE IDs that were seen at work. */
  readonly identities: readonly string[];
  readonly attempts: readonly { readonly attempt: string; readonly denied: boolean; readonly denial: string | null }[];
  readonly failures: readonly string[];
}

/** Wall-clock times, ms. */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

export interface Played {
  readonly records: readonly FlowRecord[];
  /** What went wrong with the sample traffic, one line each. */
  readonly failures: readonly string[];
  readonly attempts: readonly AttemptReport[];
  /** While the sample traffic went; outside of it apps were coming up or going down. */
  readonly traffic: Span;
}

/** Counts what was seen. Every number comes from flow records, but for the traffic's own failures and the attempts. */
export function summarize(played: Played): Summary {
  const { records, failures, attempts, traffic } = played;
  const allowed = records.filter((record) => record.reporter === "destination" && record.verdict === "allowed");
  const denied = records.filter((record) => record.verdict === "denied");
  const strays = records.filter((record) => isRefusal(record) && isWithin(record, traffic));
  const notDenied = attempts.filter((attempt) => !attempt.denied);
  return {
    allowed: allowed.length,
    denied: denied.length,
    unexpected: failures.length + notDenied.length + strays.length,
    identities: [...new Set(allowed.flatMap(principalsOf))].toSorted(),
    attempts: attempts.map(({ attempt, denied: isDenied, denial }) => ({ attempt, denied: isDenied, denial })),
    failures: [...failures, ...strays.map(describeStray)],
  };
}

function isRefusal({ verdict }: FlowRecord): boolean {
  return verdict === "denied" || verdict === "error";
}

function isWithin(record: FlowRecord, { fromMs, toMs }: Span): boolean {
  return record.timeMs >= fromMs && record.timeMs <= toMs;
}

function principalsOf(record: FlowRecord): readonly string[] {
  return [record.source.principal, record.destination.principal].filter((principal) => principal !== null);
}

function describeStray(record: FlowRecord): string {
  const from = record.source.principal ?? record.source.ip;
  const to = record.destination.service ?? record.destination.workload ?? record.destination.ip;
  return `${record.verdict} (${record.reason}): ${from} -> ${to} ${record.method ?? ""} ${record.path ?? ""}`.trimEnd();
}
