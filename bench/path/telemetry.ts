import { mkdirSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { runWrk } from "./client.ts";
import { openBackends } from "./open-sides.ts";
import { openOurs, type OurSide } from "./ours.ts";
import type { OurTelemetry } from "./ours-mesh.ts";
import { readThreadsUs } from "./process-times.ts";
import { medianOf } from "./statistics.ts";

/** The meshes that take turns; all are held against the first. */
const SETTINGS: readonly (OurTelemetry & { readonly name: string; readonly hasSpans?: boolean })[] = [
  { name: "all off", flowLog: false, flowStore: false },
  { name: "spans of 1 %", flowLog: false, flowStore: false, hasSpans: true },
  { name: "flow files", flowLog: true, flowStore: false },
  { name: "files and store", flowLog: true, flowStore: true },
  { name: "files and store, one in ten", flowLog: true, flowStore: true, flowSampleOneIn: 10 },
  { name: "files, store and spans of 1 %", flowLog: true, flowStore: true, hasSpans: true },
];

/** One mesh over all rounds; medians. */
export interface TelemetryCost {
  readonly name: string;
  /** Of both sidecars. */
  readonly sidecarsUs: number;
  /** Of the rounds' own, to "all off". */
  readonly ratio: number;
  /** Of the control plane: collector and store. */
  readonly controlUs: number;
  readonly requestsPerSec: number;
}

export interface TelemetryOptions {
  readonly rounds: number;
  readonly seconds: number;
  readonly connections: number;
  readonly directory: string;
  readonly report: (line: string) => void;
}

interface Round {
  readonly requests: number;
  readonly sidecarsUs: number;
  readonly controlUs: number;
  readonly requestsPerSec: number;
}

interface Running {
  readonly name: string;
  readonly side: OurSide;
  readonly rounds: Round[];
}

/** Ours alone, once for each setting of its telemetry, all at the same time and in turns. */
export async function measureTelemetry(options: TelemetryOptions): Promise<readonly TelemetryCost[]> {
  const { directory, rounds, report } = options;
  const { child, backends } = await openBackends(directory);
  const sink = await openSpanSink();
  const running: Running[] = [];
  try {
    for (const setting of SETTINGS) {
      const place = join(directory, setting.name.replaceAll(/\W+/g, "-"));
      mkdirSync(place);
      running.push({
        name: setting.name,
        side: await openOurs(
          { directory: place, backends },
          setting.hasSpans === true ? { ...setting, spansTo: sink.endpoint } : setting,
        ),
        rounds: [],
      });
    }
    report("warming up");
    for (const { side } of running)
      for (let requests = 0; requests < WARM_UP_REQUESTS; )
        requests += (await measureRound(side, { ...options, seconds: WARM_UP_SEC })).requests;
    for (let round = 0; round < rounds; round++)
      for (let i = 0; i < running.length; i++) {
        const turn = running[(i + round) % running.length]!;
        turn.rounds.push(await measureRound(turn.side, options));
      }
    return running.map((each) => costOf(each, running[0]!.rounds));
  } finally {
    await Promise.all(running.map(({ side }) => side.close()));
    await child.close();
    sink.close();
  }
}

/** A collector that takes everything and keeps nothing. */
async function openSpanSink(): Promise<{ readonly endpoint: string; close(): void }> {
  const server = createServer((request, answer) => {
    request.resume();
    request.on("end", () => answer.end());
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `http://127.0.0.1:${port}`,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Code that is compiled as it runs is not at its speed at once; on a busy machine that takes longer. */
const WARM_UP_REQUESTS = 50_000;
const WARM_UP_SEC = 3;

async function measureRound(side: OurSide, { connections, seconds }: TelemetryOptions): Promise<Round> {
  const pids = side.pids("http");
  const spentBy = (): readonly number[] => [pids, [side.controlPid]].map(readThreadsUs);
  const before = spentBy();
  const { requests, failed, durationUs } = await runWrk(side.ports.http!, { connections, bodyBytes: 0, seconds });
  // What is on its way to the collector belongs to the requests of before.
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  const after = spentBy();
  if (failed > 0) throw new Error(`${failed} requests failed`);
  const [sidecarsUs, controlUs] = after.map((us, i) => (us - before[i]!) / requests!);
  const requestsPerSec = requests! / (durationUs / 1e6);
  return { requests: requests!, sidecarsUs: sidecarsUs!, controlUs: controlUs!, requestsPerSec };
}

const SETTLE_MS = 700;

function costOf({ name, rounds }: Running, off: readonly Round[]): TelemetryCost {
  return {
    name,
    sidecarsUs: medianOf(rounds.map((round) => round.sidecarsUs)),
    ratio: medianOf(rounds.map((round, i) => round.sidecarsUs / off[i]!.sidecarsUs)),
    controlUs: medianOf(rounds.map((round) => round.controlUs)),
    requestsPerSec: medianOf(rounds.map((round) => round.requestsPerSec)),
  };
}

/** A table in Markdown. */
export function formatTelemetry(costs: readonly TelemetryCost[]): string {
  const rows = costs.map(
    ({ name, sidecarsUs, ratio, controlUs, requestsPerSec }) =>
      `| ${name} | ${sidecarsUs.toFixed(1)} | ${ratio.toFixed(2)} | ${controlUs.toFixed(1)} | ${requestsPerSec.toFixed(0)} |`,
  );
  return [
    "| told of each request | µs CPU of both sidecars | to all off | µs CPU of the control plane | requests/s |",
    "|---|---|---|---|---|",
    ...rows,
  ].join("\n");
}
