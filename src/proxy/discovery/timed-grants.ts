import type { Clock, Logger, Timer } from "../../core/ports.ts";
import type { AuthorizationPolicy } from "../../policy/document.ts";
import { holdsAt, nextChangeMs, policiesAt } from "../../policy/grant-times.ts";

/** A set whose grants begin and end by this sidecar's own clock. */
export interface TimedGrants {
  /** The policies as they are now. */
  policies(): readonly AuthorizationPolicy[];
  /** Calls `onChange` with them whenever a grant has begun or ended since they were last given. */
  follow(onChange: (policies: readonly AuthorizationPolicy[]) => void): void;
  stop(): void;
}

/** The clock may be set meanwhile: looked at this often, whenever the next change should be. */
const LOOK_MS = 60_000;

export function createTimedGrants(
  documents: readonly AuthorizationPolicy[],
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
): TimedGrants {
  let given = "";
  let timer: Timer | null = null;

  function policies(): readonly AuthorizationPolicy[] {
    given = holdingAt(documents, clock.wallMs());
    return policiesAt(documents, clock.wallMs());
  }

  function follow(onChange: (policies: readonly AuthorizationPolicy[]) => void): void {
    tell(documents, clock.wallMs(), logger);
    const look = (): void => {
      const nowMs = clock.wallMs();
      if (holdingAt(documents, nowMs) !== given) {
        onChange(policies());
        tell(documents, nowMs, logger);
      }
      const nextMs = nextChangeMs(documents, nowMs);
      timer = nextMs === null ? null : clock.setTimer(Math.min(LOOK_MS, nextMs - nowMs), look);
    };
    look();
  }

  return { policies, follow, stop: () => timer?.cancel() };
}

/** Which grants hold, in one word. */
function holdingAt(documents: readonly AuthorizationPolicy[], atMs: number): string {
  return documents
    .flatMap(({ id, terms }) => (terms === null || !holdsAt(terms, atMs) ? [] : [id]))
    .toSorted()
    .join(" ");
}

/** Whatever is open for an emergency is said, at the beginning and after each change. */
function tell(documents: readonly AuthorizationPolicy[], nowMs: number, logger: Logger): void {
  for (const { id, terms } of documents) {
    if (terms === null || !terms.isBreakGlass || !holdsAt(terms, nowMs)) continue;
    const { ticket, requestedBy, untilMs } = terms;
    const until = untilMs === null ? null : new Date(untilMs).toISOString();
    logger.log("warn", "break-glass-in-force", { policy: id, ticket, requestedBy, until });
  }
}
