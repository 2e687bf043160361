import { renameSync, writeFileSync } from "node:fs";
import { runClient, runWrk } from "./client.ts";
import { openSides } from "./open-sides.ts";
import type { OurSide } from "./ours.ts";
import { policyText } from "./ours-mesh.ts";
import { readRssMiB } from "./process-times.ts";
import { GRPC_UNARY_PATH } from "./rules.ts";
import { medianOf } from "./statistics.ts";
import { slopeOf } from "./slope.ts";

/** The sidecars that carry the soak's requests. */
const SIDECARS = ["caller", "server", "grpc"] as const;

export interface SoakResult {
  readonly minutes: number;
  readonly requests: number;
  readonly failed: number;
  /** Of gRPC: what the first failed call was answered with. */
  readonly firstFailure: string;
  /** How often the policies were written anew, and how many of these revisions the sidecars were seen to hold. */
  readonly policiesWritten: number;
  readonly policyRevisionsSeen: number;
  /** How often each sidecar was told to renew its certificate, and how many it was seen to hold. */
  readonly renewalsAsked: number;
  readonly certificatesSeen: Readonly<Record<string, number>>;
  readonly memory: readonly SoakMemory[];
}

/** Resident memory of one sidecar over the soak. */
export interface SoakMemory {
  readonly sidecar: string;
  readonly samples: readonly { readonly second: number; readonly rssMiB: number }[];
  /** Medians, the first tenth left out: it is the warm-up. */
  readonly firstHalfMiB: number;
  readonly secondHalfMiB: number;
  readonly slopeMiBPerMinute: number;
}

const SAMPLE_MS = 2_000;
const RELOAD_MS = 5_000;
const ROTATE_MS = 10_000;
const CONNECTIONS = 50;
const GRPC_STREAMS = 10;
const WARM_UP_FRACTION = 0.1;

/**
 * Our pair at saturation: GETs and gRPC calls in closed loops, the policies written anew every 5 s and every
 * certificate renewed every 10 s.
 */
export async function soak(minutes: number, directory: string, report: (line: string) => void): Promise<SoakResult> {
  const { ours, close } = await openSides({ directory, peers: [], report });
  try {
    const watch = watchSoak(ours);
    report(`soaking for ${minutes} minutes`);
    const seconds = minutes * 60;
    const [http, grpc] = await Promise.all([
      runWrk(ours.ports.http!, { connections: CONNECTIONS, bodyBytes: 0, seconds }),
      runClient("grpc-loop", [ours.ports.grpc!, GRPC_UNARY_PATH, GRPC_STREAMS, 1, seconds], seconds),
    ]);
    return {
      minutes,
      requests: (http.requests ?? 0) + (grpc.requests ?? 0),
      failed: http.failed + grpc.failed,
      firstFailure: grpc.firstFailure ?? "",
      ...(await watch.end()),
    };
  } finally {
    await close();
  }
}

type Watched = Omit<SoakResult, "minutes" | "requests" | "failed" | "firstFailure">;

/** Disturbs and samples until it is told to end. */
function watchSoak(ours: OurSide): { end(): Promise<Watched> } {
  const beganMs = performance.now();
  const samples = new Map<string, { second: number; rssMiB: number }[]>(SIDECARS.map((name) => [name, []]));
  const certificates = new Map<string, Set<string>>(SIDECARS.map((name) => [name, new Set()]));
  const revisions = new Set<string>();
  let policiesWritten = 0;
  let renewalsAsked = 0;
  let looking = Promise.resolve();
  const look = async (): Promise<void> => {
    for (const name of SIDECARS) {
      const service = ours.service(name);
      samples.get(name)!.push({
        second: (performance.now() - beganMs) / 1_000,
        rssMiB: readRssMiB([service.sidecar!.pid]),
      });
      const { certificate, policyRevision } = await readStatus(service.admin.port);
      if (certificate !== null) certificates.get(name)!.add(certificate.serial);
      if (policyRevision !== null && name === "server") revisions.add(policyRevision);
    }
  };
  const timers = [
    setInterval(() => {
      looking = looking.then(look);
    }, SAMPLE_MS),
    setInterval(() => {
      policiesWritten += 1;
      writePolicy(ours.policyFile, `/soak-${policiesWritten}`);
    }, RELOAD_MS),
    setInterval(() => {
      renewalsAsked += 1;
      for (const name of SIDECARS) process.kill(ours.service(name).sidecar!.pid, "SIGUSR2");
    }, ROTATE_MS),
  ];
  return {
    async end() {
      timers.forEach(clearInterval);
      await looking;
      return {
        policiesWritten,
        policyRevisionsSeen: revisions.size,
        renewalsAsked,
        certificatesSeen: Object.fromEntries([...certificates].map(([name, serials]) => [name, serials.size])),
        memory: [...samples].map(([sidecar, own]) => summarizeMemory(sidecar, own)),
      };
    },
  };
}

/** Whole or not at all, as an editor or a git checkout writes. */
function writePolicy(file: string, extraPath: string): void {
  writeFileSync(`${file}.new`, policyText(extraPath));
  renameSync(`${file}.new`, file);
}

interface Status {
  readonly certificate: { readonly serial: string } | null;
  readonly policyRevision: string | null;
}

async function readStatus(adminPort: number): Promise<Status> {
  const answer = await fetch(`http://127.0.0.1:${adminPort}/status`);
  return (await answer.json()) as Status;
}

/** Medians of both halves and the slope, once the first tenth has passed. */
export function summarizeMemory(sidecar: string, samples: SoakMemory["samples"]): SoakMemory {
  const settled = samples.slice(Math.floor(samples.length * WARM_UP_FRACTION));
  const middle = Math.floor(settled.length / 2);
  const medianMiB = (part: SoakMemory["samples"]): number => medianOf(part.map(({ rssMiB }) => rssMiB));
  return {
    sidecar,
    samples,
    firstHalfMiB: medianMiB(settled.slice(0, middle)),
    secondHalfMiB: medianMiB(settled.slice(middle)),
    slopeMiBPerMinute: slopeOf(settled.map(({ second, rssMiB }) => ({ x: second / 60, y: rssMiB }))),
  };
}

/** In Markdown. */
export function describeSoak(result: SoakResult): string {
  const { minutes, requests, failed, policiesWritten, policyRevisionsSeen, renewalsAsked, memory } = result;
  const rows = memory.map(
    ({ sidecar, firstHalfMiB, secondHalfMiB, slopeMiBPerMinute, samples }) =>
      `| ${sidecar} | ${firstHalfMiB.toFixed(0)} | ${secondHalfMiB.toFixed(0)} | ${slopeMiBPerMinute.toFixed(2)} | ${Math.max(...samples.map(({ rssMiB }) => rssMiB)).toFixed(0)} | ${result.certificatesSeen[sidecar]} |`,
  );
  return [
    `${minutes} minutes, ${requests} requests (${CONNECTIONS} connections of GETs and ${GRPC_STREAMS} gRPC streams, closed loops):`,
    `**${failed} failed**${result.firstFailure === "" ? "" : ` (${result.firstFailure})`}. Policies were written ${policiesWritten} times, and the server's sidecar was seen with`,
    `${policyRevisionsSeen} revisions; renewal was asked for ${renewalsAsked} times.`,
    "",
    "| sidecar | MiB RSS, first half | second half | slope, MiB a minute | highest | certificates seen |",
    "|---|---|---|---|---|---|",
    ...rows,
  ].join("\n");
}
