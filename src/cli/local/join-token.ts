import { mintJoinToken } from "../../control/ca/join-token.ts";
import { atomicWrite } from "../../io/files.ts";
import { systemClock } from "../../io/clock.ts";
import { createSystemRandom } from "../../io/random.ts";
import { openStateFiles } from "../../io/state-files.ts";
import type { StatePaths } from "../state-dir.ts";
import type { ServicePlan } from "./plan.ts";

/**
 * Leaves a fresh one-time join token where a sidecar that is about to start will look for it. Who can write the state
 * directory can mint: that is local mode's attestation. Errors: `bad-input`.
 */
export async function giveJoinToken(plan: ServicePlan, paths: StatePaths): Promise<void> {
  const ports = { files: openStateFiles(paths.directory), clock: systemClock, random: createSystemRandom() };
  const token = await mintJoinToken(ports, { spiffeId: plan.principal });
  if (plan.config.joinTokenFile !== null) await atomicWrite(plan.config.joinTokenFile, `${token}\n`, 0o600);
}
