import { toCardeaError } from "../../core/errors.ts";
import { type Latest, type LatestSource, createLatest } from "../../core/latest.ts";
import type { Clock, Logger, Timer, TlsMaterial } from "../../core/ports.ts";

/** A certificate of our own that is renewed as long as it is held. */
export interface HeldCertificate {
  readonly material: Latest<TlsMaterial>;
  /** When the one that is shown now ends. */
  notAfterMs(): number;
  close(): void;
}

export interface OwnCertificate {
  readonly material: TlsMaterial;
  readonly notAfterMs: number;
}

export interface HoldOptions {
  issue(): Promise<OwnCertificate>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** What is logged when it could not be renewed. */
  readonly failureEvent: string;
}

/** The wall clock is looked at this often, whatever the timers say: a laptop may sleep over them. */
const TICK_MS = 30_000;

/** Issues at once, and again at each half of the certificate's life. Errors: those of `issue`, the first time. */
export async function holdCertificate(options: HoldOptions): Promise<HeldCertificate> {
  const holder = new Holder(options, await options.issue());
  return { material: holder.material, notAfterMs: () => holder.notAfterMs, close: () => holder.close() };
}

class Holder {
  readonly material: LatestSource<TlsMaterial>;
  notAfterMs: number;
  readonly #options: HoldOptions;
  #renewAtMs: number;
  #issuedAtMs: number;
  #timer: Timer;

  constructor(options: HoldOptions, first: OwnCertificate) {
    this.material = createLatest(first.material);
    this.notAfterMs = first.notAfterMs;
    this.#options = options;
    this.#renewAtMs = this.#halfLife(first);
    this.#issuedAtMs = options.clock.wallMs();
    this.#timer = this.#arm();
  }

  close(): void {
    this.#timer.cancel();
  }

  #arm(): Timer {
    return this.#options.clock.setTimer(TICK_MS, () => {
      this.#timer = this.#arm();
      const nowMs = this.#options.clock.wallMs();
      // A clock that was set back: what was issued before that may not be valid for hours yet.
      if (nowMs >= this.#renewAtMs || nowMs < this.#issuedAtMs) void this.#renew();
    });
  }

  async #renew(): Promise<void> {
    try {
      const next = await this.#options.issue();
      this.#renewAtMs = this.#halfLife(next);
      this.#issuedAtMs = this.#options.clock.wallMs();
      this.notAfterMs = next.notAfterMs;
      this.material.set(next.material);
    } catch (error) {
      // The next tick tries again; half of the certificate's life is left for that.
      this.#options.logger.log("error", this.#options.failureEvent, { message: toCardeaError(error).message });
    }
  }

  #halfLife({ notAfterMs }: OwnCertificate): number {
    const nowMs = this.#options.clock.wallMs();
    return nowMs + (notAfterMs - nowMs) / 2;
  }
}
