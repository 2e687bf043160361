import type { Clock } from "../../core/ports.ts";
import { isRunning, type ProcessName, signalProcess } from "../../io/child-processes.ts";
import type { RunFile, RunningService } from "../run-file.ts";

const POLL_MS = 20;

/** A process of an earlier `up`. */
export interface Leftover {
  readonly kind: "app" | "sidecar" | "control plane";
  readonly process: ProcessName;
}

/** What an earlier `up` left running: it was killed before it could end its children. */
export async function findLeftovers(run: RunFile, joined: readonly RunningService[]): Promise<readonly Leftover[]> {
  const services = [...run.services, ...(await findOrphans(joined))];
  const known = [
    ...services.map((each) => ({ kind: "app" as const, process: each.app })),
    ...services.map((each) => ({ kind: "sidecar" as const, process: each.sidecar })),
    { kind: "control plane" as const, process: run.control.process },
  ];
  const started = known.flatMap(({ kind, process }) => (process === null ? [] : [{ kind, process }]));
  const living = await Promise.all(started.map((each) => isRunning(each.process)));
  return started.filter((_, index) => living[index]);
}

/** Services whose `cardea run` is gone. One that lives is looked after, and joins again by itself. */
export async function findOrphans(joined: readonly RunningService[]): Promise<readonly RunningService[]> {
  const orphaned = await Promise.all(joined.map(isOrphan));
  return joined.filter((_, index) => orphaned[index]);
}

async function isOrphan(service: RunningService): Promise<boolean> {
  return service.runner === null || !(await isRunning(service.runner));
}

/** Ends them, apps first and the control plane last, by SIGTERM, and by force after the grace. */
export async function endLeftovers(leftovers: readonly Leftover[], graceMs: number, clock: Clock): Promise<void> {
  for (const kind of ["app", "sidecar", "control plane"] as const) {
    const ofKind = leftovers.filter((each) => each.kind === kind);
    await Promise.all(ofKind.map((each) => endProcess(each.process, graceMs, clock)));
  }
}

async function endProcess(process: ProcessName, graceMs: number, clock: Clock): Promise<void> {
  await signalProcess(process, "SIGTERM");
  if (await isGoneWithin(process, graceMs, clock)) return;
  await signalProcess(process, "SIGKILL");
  await isGoneWithin(process, graceMs, clock);
}

async function isGoneWithin(process: ProcessName, timeoutMs: number, clock: Clock): Promise<boolean> {
  const deadlineMs = clock.monotonicMs() + timeoutMs;
  while (await isRunning(process)) {
    if (clock.monotonicMs() > deadlineMs) return false;
    await new Promise<void>((resolve) => void clock.setTimer(POLL_MS, resolve));
  }
  return true;
}
