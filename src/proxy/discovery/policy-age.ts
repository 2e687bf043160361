import { createLatest, type Latest } from "../../core/latest.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Clock, Logger, Timer } from "../../core/ports.ts";
import type { DiscoveryConnection } from "./control-link.ts";
import type { PolicySet } from "./policy-sinks.ts";

export interface PolicyAgeOptions {
  /** The newest set that was put in force. */
  readonly inForce: Latest<PolicySet | null>;
  /** As long as it stands, the set is what the control plane says. */
  readonly connection: Latest<DiscoveryConnection>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What is connected sends what has changed at once; who has sent nothing in this time agrees with what is held. */
const CONFIRM_MS = 5_000;

/**
 * The set in force, or null once nobody has confirmed it for `policyAgeMs`: who was let in then may have been shut out
 * since. When the control plane is there again its next set counts, or, if it has none, the one that is held.
 */
export function limitPolicyAge({ inForce, connection, clock, logger }: PolicyAgeOptions): Latest<PolicySet | null> {
  const limited = createLatest(inForce.get());
  let isConnected = true;
  let isTooOld = false;
  let timer: Timer | null = null;

  function follow({ at }: DiscoveryConnection): void {
    if (isConnected === (at === "connected")) return;
    isConnected = !isConnected;
    timer?.cancel();
    timer = null;
    if (isConnected && isTooOld) timer = clock.setTimer(CONFIRM_MS, confirm);
    if (!isConnected && !isTooOld) timer = clock.setTimer(LIMITS.policyAgeMs, expire);
  }

  function expire(): void {
    isTooOld = true;
    if (limited.get() === null) return;
    logger.log("error", "policies-too-old", { revision: limited.get()!.revision });
    limited.set(null);
  }

  function confirm(): void {
    isTooOld = false;
    limited.set(inForce.get());
  }

  follow(connection.get());
  connection.subscribe(follow);
  inForce.subscribe((set) => {
    if (isTooOld && isConnected) confirm();
    else if (!isTooOld) limited.set(set);
  });
  return limited;
}
