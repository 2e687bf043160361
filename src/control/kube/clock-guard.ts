import { CardeaError } from "../../core/errors.ts";
import type { KubeApi } from "../../core/kube.ts";
import { BACKDATE_MS } from "../ca/issuer-file.ts";
import type { ClusterFaults } from "./cluster-faults.ts";

export interface ClockGuard {
  /** Errors: `bad-input` while our clock is not to be trusted. */
  assertTrusted(): void;
  close(): void;
}

/**
 * A control plane whose clock is wrong would renew certificates that have long ended, and issue some that are not valid
 * yet, or not any more. The API server's clock, which judges the tokens, is what ours is compared with, at each answer.
 * Further apart than certificates are backdated, nothing is issued; sidecars go on with what they have, and ask others.
 */
export function guardClock(kube: Pick<KubeApi, "clockAheadMs">, faults: ClusterFaults): ClockGuard {
  let fault: string | null = null;
  function compare(aheadMs: number): void {
    const next = faultOf(aheadMs);
    // Not for each second that it moves: the direction alone is news.
    if ((next === null) !== (fault === null)) faults.set("clock-differs", next);
    fault = next;
  }
  compare(kube.clockAheadMs?.get() ?? 0);
  const unsubscribe = kube.clockAheadMs?.subscribe(compare);
  return {
    assertTrusted() {
      if (fault !== null) throw new CardeaError("bad-input", fault);
    },
    close: () => unsubscribe?.(),
  };
}

function faultOf(aheadMs: number): string | null {
  if (Math.abs(aheadMs) <= BACKDATE_MS) return null;
  const direction = aheadMs > 0 ? "ahead of" : "behind";
  const minutes = Math.round(Math.abs(aheadMs) / 60_000);
  return `our clock is ${minutes} min ${direction} the API server's: no certificate is issued until they agree`;
}
