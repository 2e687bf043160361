import { toCardeaError } from "../../core/errors.ts";
import type { Clock, Logger, Timer } from "../../core/ports.ts";

/** The one thing that we do to webhook configurations. */
export interface CaBundlePort {
  /**
   * Puts the roots into all webhooks of a configuration, if they differ. False: there is no such configuration. Errors:
   * those of KubeApi.
   */
  patchCaBundle(kind: "mutating" | "validating", name: string, rootsPem: string): Promise<boolean>;
}

export interface CaBundleOptions {
  readonly configurations: CaBundlePort;
  /** Names of the two configurations. */
  readonly injector: string;
  readonly validator: string;
  rootsPem(): string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Whoever applies the manifests anew wipes the roots out; until they are back the API server reaches nobody. */
const LOOK_MS = 15_000;

/** Keeps the roots in the webhook configurations, as long as it is open. Every replica does: they write the same. */
export function keepCaBundle(options: CaBundleOptions): { close(): void } {
  const { clock, logger, configurations } = options;
  let isOpen = true;
  const absent = new Set<string>();
  let timer: Timer = clock.setTimer(0, look);
  function look(): void {
    void Promise.allSettled([put("mutating", options.injector), put("validating", options.validator)]).then(() => {
      if (isOpen) timer = clock.setTimer(LOOK_MS, look);
    });
  }
  async function put(kind: "mutating" | "validating", name: string): Promise<void> {
    try {
      const isThere = await configurations.patchCaBundle(kind, name, options.rootsPem());
      // Not at each look: it may be meant.
      if (!isThere && !absent.has(name)) logger.log("warn", "webhook-configuration-absent", { service: name });
      if (isThere) absent.delete(name);
      else absent.add(name);
    } catch (thrown) {
      logger.log("warn", "ca-bundle-not-patched", { service: name, message: toCardeaError(thrown).message });
    }
  }
  return {
    close() {
      isOpen = false;
      timer.cancel();
    },
  };
}
