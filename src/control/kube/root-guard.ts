import { toCardeaError } from "../../core/errors.ts";
import type { Clock, Logger, Timer } from "../../core/ports.ts";
import type { Authority } from "../ca/authority.ts";
import type { ClusterFaults } from "./cluster-faults.ts";

export interface RootGuardOptions {
  readonly authority: Pick<Authority, "checkStore">;
  readonly faults: ClusterFaults;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A new replica that finds no Secret waits for this; nobody else needs it meanwhile. */
const LOOK_MS = 10_000;

const REPLACED =
  "the Secret holds another root than the one that we sign with and that workloads trust; it was left as it is. No " +
  "replica can start: restore the Secret from a backup, or remove it, and we put the root back";

/** Keeps the root in the Secret as long as a replica has it in memory. Every replica does: they all have the same one. */
export function guardRoot({ authority, faults, clock, logger }: RootGuardOptions): { close(): void } {
  let isOpen = true;
  let timer: Timer = clock.setTimer(LOOK_MS, look);

  function look(): void {
    void check().finally(() => {
      if (isOpen) timer = clock.setTimer(LOOK_MS, look);
    });
  }

  async function check(): Promise<void> {
    try {
      const stored = await authority.checkStore();
      faults.set("root-missing", null);
      faults.set("root-replaced", stored === "replaced" ? REPLACED : null);
    } catch (thrown) {
      const error = toCardeaError(thrown);
      // An API that does not answer tells nothing of the Secret, and says so elsewhere.
      if (error.code === "unreachable") return;
      faults.set("root-missing", `the Secret with the root cannot be read, or put back: ${error.message}`);
      logger.log("debug", "ca-root-not-checked", { error: error.message });
    }
  }

  return {
    close() {
      isOpen = false;
      timer.cancel();
    },
  };
}
