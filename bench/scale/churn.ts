import { rmSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LIMITS } from "../../src/core/limits.ts";
import { percentileOf } from "../path/statistics.ts";
import type { ScaleArguments } from "./arguments.ts";
import { type Change, type ChangeKind, planChanges } from "./changes.ts";
import { type ControlProcess, startControl } from "./control-process.ts";
import { type Fleet, openFleet } from "./fleet.ts";
import { machineMs } from "./worker-messages.ts";
import { createWorld } from "./world.ts";

/** What the changes of one kind cost, each on average where nothing else is said. */
export interface KindResult {
  readonly name: string;
  readonly changes: number;
  /** From the write to the last sidecar that uses it. */
  readonly lastMs: { readonly p50: number; readonly p99: number; readonly worst: number };
  /** Of the control plane, all that followed included. */
  readonly cpuMs: number;
  readonly messages: number;
  readonly kilobytes: number;
  /** Whom the change concerns. */
  readonly concerned: number;
  /** Sidecars that something came to, of any change of the kind. */
  readonly touched: number;
  /** Sidecars that never learned of it. */
  readonly missing: number;
}

/** A time when all sidecars come at once. */
export interface StormResult {
  readonly name: string;
  /** Until the last one had everything. */
  readonly allMs: number;
  readonly cpuMs: number;
  readonly rssMiB: number;
  readonly megabytes: number;
}

export interface ChurnResult {
  readonly args: ScaleArguments;
  readonly readyMs: number;
  readonly storms: readonly StormResult[];
  readonly kinds: readonly KindResult[];
  readonly rssMiB: { readonly idle: number; readonly connected: number; readonly peak: number };
  readonly slow: { readonly count: number; readonly rssMiB: number; readonly lastMs: number } | null;
  /** Processor time of the control plane while nothing happens. */
  readonly idleCpuMsPerSecond: number;
  /** Whether all sidecars held the same at the end; those that were stopped included. */
  readonly isConsistent: boolean;
}

const WORKERS = 2;
/** Longer than sidecars may be left waiting for what does not concern them. */
const SETTLE_MS = LIMITS.discoveryLaterMs + 500;
const ARRIVE_WITHIN_MS = 15_000;

type Log = (line: string) => void;

/** Starts a control plane and sidecars, and changes their world. All that was started is ended. */
export async function runChurn(args: ScaleArguments, log: Log): Promise<ChurnResult> {
  const directory = mkdtempSync(join(tmpdir(), "cardea-scale-"));
  const world = createWorld(args);
  const control = await startControl(directory, world);
  const slowCount = Math.min(args.slow, world.sidecars.length - 1);
  const fleet = openFleet(world.sidecars.slice(slowCount), WORKERS);
  const slow = openFleet(world.sidecars.slice(0, slowCount), 1);
  try {
    return await measure({ args, control, fleet, slow, log, sidecars: world.sidecars });
  } finally {
    fleet.close();
    slow.close();
    await control.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

interface Parts {
  readonly args: ScaleArguments;
  readonly control: ControlProcess;
  readonly fleet: Fleet;
  /** Those that will stop reading. */
  readonly slow: Fleet;
  readonly sidecars: ReturnType<typeof createWorld>["sidecars"];
  readonly log: Log;
}

async function measure(parts: Parts): Promise<ChurnResult> {
  const { args, control, fleet, slow, log, sidecars } = parts;
  const readyMs = control.readyAfterMs;
  const idle = control.rssMiB();
  let peak = idle;
  const storms: StormResult[] = [];
  const storm = async (name: string, act: () => Promise<number | void>): Promise<void> => {
    const result = await measureStorm(name, act, parts);
    storms.push(result);
    peak = Math.max(peak, result.rssMiB);
    log(`${name}: ${Math.round(result.allMs)} ms, ${Math.round(result.cpuMs)} ms of processor time`);
  };
  await storm("all join: certificates", () => Promise.all([fleet.join(control), slow.join(control)]).then(() => {}));
  await storm("all connect, empty-handed", async () => Math.max(...(await both(parts, (each) => each.connect()))));
  await settle(parts);
  const connected = control.rssMiB();
  const idleCpuMsPerSecond = await idleCpu(control);
  const kinds: KindResult[] = [];
  for (const kind of planChanges(args, sidecars, args.changes)) {
    const result = await measureKind(kind, parts, idleCpuMsPerSecond);
    kinds.push(result);
    peak = Math.max(peak, control.rssMiB());
    log(`${kind.name}: ${result.cpuMs.toFixed(1)} ms of processor time, p50 ${Math.round(result.lastMs.p50)} ms`);
  }
  const slowly = await measureSlow(parts, idleCpuMsPerSecond);
  peak = Math.max(peak, slowly.rssMiB);
  await storm("control plane killed and started: all come back", async () => {
    await control.stop();
    await control.start();
    return Math.max(...(await both(parts, (each) => each.inSync())));
  });
  await settle(parts);
  const digests = await both(parts, (each) => each.digests());
  const isConsistent = new Set(digests.flatMap((each) => [...each.keys()])).size === 1;
  const rssMiB = { idle, connected, peak };
  return { args, readyMs, storms, kinds, rssMiB, slow: slowly, idleCpuMsPerSecond, isConsistent };
}

function both<T>({ fleet, slow }: Parts, act: (fleet: Fleet) => Promise<T>): Promise<T[]> {
  return Promise.all([act(fleet), act(slow)]);
}

async function measureStorm(
  name: string,
  act: () => Promise<number | void>,
  { control, fleet }: Parts,
): Promise<StormResult> {
  await fleet.counters();
  // A control plane that is started anew has used no time yet.
  const before = name.startsWith("control plane") ? 0 : control.cpuMs();
  const startMs = machineMs();
  const endMs = (await act()) ?? machineMs();
  const { bytes } = await fleet.counters();
  const cpuMs = control.cpuMs() - before;
  return { name, allMs: endMs - startMs, cpuMs, rssMiB: control.rssMiB(), megabytes: bytes / 1e6 };
}

async function measureKind(kind: ChangeKind, parts: Parts, idleCpuMsPerSecond: number): Promise<KindResult> {
  const { control, fleet } = parts;
  await fleet.counters();
  const startMs = machineMs();
  const cpuBefore = control.cpuMs();
  const lasts: number[] = [];
  let concerned = 0;
  let missing = 0;
  for (const change of kind.changes) {
    const seen = await makeChange(change, control, fleet);
    lasts.push(seen.lastMs);
    concerned += seen.concerned;
    missing += seen.missing;
  }
  const { messages, bytes, touched } = await settle(parts);
  const idleMs = ((machineMs() - startMs) / 1_000) * idleCpuMsPerSecond;
  const each = (total: number): number => total / kind.changes.length;
  return {
    name: kind.name,
    changes: kind.changes.length,
    lastMs: { p50: percentileOf(lasts, 0.5), p99: percentileOf(lasts, 0.99), worst: Math.max(...lasts) },
    cpuMs: each(Math.max(0, control.cpuMs() - cpuBefore - idleMs)),
    messages: each(messages),
    kilobytes: each(bytes) / 1e3,
    concerned: each(concerned),
    touched,
    missing,
  };
}

async function makeChange(change: Change, control: ControlProcess, fleet: Fleet) {
  await fleet.expect(change.expectation);
  await change.write(control);
  const writtenMs = machineMs();
  const { atMs, missing } = await fleet.arrivals(ARRIVE_WITHIN_MS);
  return { lastMs: Math.max(0, ...atMs) - writtenMs, concerned: atMs.length + missing, missing };
}

/** Until nothing comes any more; what has come since the last count. */
async function settle({ fleet }: Parts): ReturnType<Fleet["counters"]> {
  let sum = { messages: 0, bytes: 0, touched: 0, ended: 0 };
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    const { messages, bytes, touched, ended } = await fleet.counters();
    if (messages === 0) return sum;
    sum = {
      messages: sum.messages + messages,
      bytes: sum.bytes + bytes,
      touched: Math.max(sum.touched, touched),
      ended: sum.ended + ended,
    };
  }
}

async function idleCpu(control: ControlProcess): Promise<number> {
  const [cpuMs, startMs] = [control.cpuMs(), machineMs()];
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  return ((control.cpuMs() - cpuMs) * 1_000) / (machineMs() - startMs);
}

/** Some stop reading while services come; the others must not feel it. */
async function measureSlow(parts: Parts, idleCpuMsPerSecond: number): Promise<NonNullable<ChurnResult["slow"]>> {
  const { args, control, slow, sidecars, log } = parts;
  const [kind] = planChanges(args, sidecars, args.changes);
  slow.setStopped(true);
  try {
    const result = await measureKind(kind!, parts, idleCpuMsPerSecond);
    log(`with ${slow.count} that do not read: p50 ${Math.round(result.lastMs.p50)} ms`);
    return { count: slow.count, rssMiB: control.rssMiB(), lastMs: result.lastMs.worst };
  } finally {
    slow.setStopped(false);
  }
}
