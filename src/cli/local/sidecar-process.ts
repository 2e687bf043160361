import { join } from "node:path";
import type { Clock } from "../../core/ports.ts";
import { startChild } from "../../io/child-processes.ts";
import { SIDECAR_READY_PATH } from "../sidecar-paths.ts";
import type { StatePaths } from "../state-dir.ts";
import { giveJoinToken } from "./join-token.ts";
import { launchSidecar } from "./launch.ts";
import { fileNameOf, type ServicePlan } from "./plan.ts";
import { waitUntilReady } from "./readiness.ts";
import { type Keeping, keepRunning } from "./supervisor.ts";

export interface SidecarOptions {
  readonly paths: StatePaths;
  readonly clock: Clock;
  readonly report: (line: string) => void;
  readonly onChange: () => void;
  /** Aborted: waiting for it is given up. */
  readonly signal: AbortSignal;
}

/** From SIGTERM to SIGKILL; a sidecar's own drain is shorter. */
export const GRACE_MS = 8_000;
export const READY_TIMEOUT_MS = 20_000;
/** A process that ends this often while we wait for it will not come up. */
const ENDS_MAX = 3;

/** Starts a service's sidecar and keeps it alive, with a new join token each time. */
export function keepSidecar(plan: ServicePlan, options: SidecarOptions): Promise<Keeping> {
  const { paths, clock, report, onChange } = options;
  const start = async () => {
    await giveJoinToken(plan, paths);
    return startChild(await launchSidecar(plan, paths));
  };
  return keepRunning({ title: titleOfSidecar(plan), start }, { clock, graceMs: GRACE_MS, onChange, report });
}

/** Waits until it has its certificate and the policies. Errors: `unreachable`. */
export async function awaitSidecar(plan: ServicePlan, sidecar: Keeping, options: SidecarOptions): Promise<void> {
  const { paths, clock, signal } = options;
  const log = join(paths.log, `${fileNameOf(plan.service)}.sidecar.log`);
  const wait = { clock, timeoutMs: READY_TIMEOUT_MS, giveUp: () => whyGivenUp(sidecar, log, signal) };
  await waitUntilReady(titleOfSidecar(plan), plan.config.readiness, SIDECAR_READY_PATH, wait);
}

/** Why waiting for a process any longer is of no use, or null. */
export function whyGivenUp(keeping: Keeping, log: string, signal: AbortSignal): string | null {
  if (signal.aborted) return "it was interrupted";
  return keeping.endCount() < ENDS_MAX ? null : `it has ended ${keeping.endCount()} times; ${log} says why`;
}

function titleOfSidecar({ service }: ServicePlan): string {
  return `sidecar of ${service.namespace}/${service.name}`;
}
