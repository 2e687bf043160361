import type { Clock } from "../../core/ports.ts";
import type { OutlierDetection } from "../../traffic/service-traffic.ts";
import type { Member } from "./member.ts";

/** How a try went, as far as the workload's health is concerned. `local`: it gave no answer; the status is ours for it. */
export interface TryOutcome {
  readonly from: "workload" | "local";
  readonly status: number;
}

/** Why a member was ejected: the name of the count that was full. */
export type EjectionReason = "consecutive-5xx" | "consecutive-gateway-errors" | "consecutive-local-origin-failures";

export interface OutlierEvents {
  onEjected(member: Member, reason: EjectionReason, forMs: number): void;
  onReturned(member: Member): void;
}

interface OutlierOptions {
  readonly rules: OutlierDetection;
  readonly clock: Clock;
  readonly events: OutlierEvents;
  /** All members there are now, ejected ones included. */
  readonly members: () => readonly Member[];
}

/**
 * Envoy's outlier detection by failures in a row: whoever fails too often is left out for a while, longer each time.
 * envoyproxy.io, intro/arch_overview/upstream/outlier.
 */
export class OutlierDetector {
  readonly #options: OutlierOptions;
  #isTicking = false;

  constructor(options: OutlierOptions) {
    this.#options = options;
  }

  report(member: Member, outcome: TryOutcome): void {
    const { health } = member;
    const { rules } = this.#options;
    if (outcome.from === "local" && rules.splitExternalLocalOriginErrors) {
      health.localFailuresInARow++;
      if (isFull(health.localFailuresInARow, rules.consecutiveLocalOriginFailures))
        this.#eject(member, "consecutive-local-origin-failures");
      return;
    }
    // Whoever answered, whatever it was, could be reached.
    if (outcome.from === "workload") health.localFailuresInARow = 0;
    health.fivesInARow = outcome.status >= 500 ? health.fivesInARow + 1 : 0;
    health.gatewayErrorsInARow = isGatewayError(outcome.status) ? health.gatewayErrorsInARow + 1 : 0;
    if (isFull(health.gatewayErrorsInARow, rules.consecutiveGatewayErrors))
      this.#eject(member, "consecutive-gateway-errors");
    else if (isFull(health.fivesInARow, rules.consecutive5xxErrors)) this.#eject(member, "consecutive-5xx");
  }

  #eject(member: Member, reason: EjectionReason): void {
    const { health } = member;
    // An answer to an earlier request, or of a panic.
    if (health.ejectedAtMs !== null || !this.#mayEject()) return;
    const { clock, events } = this.#options;
    health.ejectedAtMs = clock.monotonicMs();
    health.ejections++;
    forget(member);
    events.onEjected(member, reason, this.#ejectionMs(member));
    this.#tickLater();
  }

  /**
   * While with it no more than the allowed share are out. Envoy since 1.31 ejects none of so few that one is more than
   * the share (always_eject_one_host, which Istio does not set, is false): the only workload stays.
   */
  #mayEject(): boolean {
    const { rules, members } = this.#options;
    const all = members();
    const ejected = all.filter(({ health }) => health.ejectedAtMs !== null).length;
    return (100 * (ejected + 1)) / all.length <= rules.maxEjectionPercent;
  }

  #ejectionMs({ health }: Member): number {
    const { baseEjectionTimeMs } = this.#options.rules;
    return Math.min(baseEjectionTimeMs * health.ejections, Math.max(EJECTION_MAX_MS, baseEjectionTimeMs));
  }

  #tickLater(): void {
    if (this.#isTicking) return;
    this.#isTicking = true;
    this.#options.clock.setTimer(this.#options.rules.intervalMs, this.#tick);
  }

  readonly #tick = (): void => {
    this.#isTicking = false;
    const nowMs = this.#options.clock.monotonicMs();
    let isMoreToDo = false;
    for (const member of this.#options.members()) {
      this.#look(member, nowMs);
      isMoreToDo ||= member.health.ejectedAtMs !== null || member.health.ejections > 0;
    }
    if (isMoreToDo) this.#tickLater();
  };

  #look(member: Member, nowMs: number): void {
    const { health } = member;
    if (health.ejectedAtMs === null) {
      // An interval in good order makes the next ejection shorter again.
      if (health.ejections > 0) health.ejections--;
    } else if (nowMs - health.ejectedAtMs >= this.#ejectionMs(member)) {
      health.ejectedAtMs = null;
      forget(member);
      this.#options.events.onReturned(member);
    }
  }
}

/** Envoy's max_ejection_time. */
const EJECTION_MAX_MS = 300_000;

function forget({ health }: Member): void {
  health.fivesInARow = 0;
  health.gatewayErrorsInARow = 0;
  health.localFailuresInARow = 0;
}

/** 0 switches a count off. */
function isFull(count: number, threshold: number): boolean {
  return threshold > 0 && count >= threshold;
}

function isGatewayError(status: number): boolean {
  return status >= 502 && status <= 504;
}
