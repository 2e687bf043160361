import { toCardeaError } from "../../core/errors.ts";
import { type Latest, createLatest } from "../../core/latest.ts";
import type { Clock, Logger, Random, Timer } from "../../core/ports.ts";
import type { SpiffeId } from "../../core/spiffe-id.ts";
import type { TrustBundles } from "../../pki/bundle.ts";
import { createSigningRequest } from "../../pki/csr.ts";
import { type KeyPair, generateKeyPair } from "../../pki/keys.ts";
import { acceptChain } from "./accept-chain.ts";
import type { RequestCertificate } from "./certificate-client.ts";
import type { Identity } from "./identity.ts";
import { type Moment, hasCome, momentAfter, renewalDelayMs, retryDelayMs } from "./schedule.ts";

export interface IdentityHolderOptions {
  readonly spiffeId: SpiffeId;
  /** Who may vouch for peers, for the control plane and for what it issues. */
  readonly bundles: TrustBundles;
  readonly ttlSec: number;
  readonly requestCertificate: RequestCertificate;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** The next request to the authority: there is one at a time. */
export type Attempt =
  | { readonly at: "due"; readonly moment: Moment; readonly failures: number }
  | { readonly at: "asking"; readonly failures: number };

/** waiting → holding → (renewed: holding | at notAfter: waiting) → closed */
export type RenewalState =
  | { readonly at: "waiting"; readonly attempt: Attempt }
  | { readonly at: "holding"; readonly identity: Identity; readonly attempt: Attempt }
  | { readonly at: "closed" };

export interface IdentityHolder {
  /** Null before the first certificate, and again when the last one has ended without a successor: fail closed. */
  readonly identity: Latest<Identity | null>;
  state(): RenewalState;
  /** Asks for the first certificate, and for the next ones in time. Called once. */
  begin(): void;
  /** Asks for the next certificate now; a request that is under way already is enough. */
  renew(): void;
  /** Ends the request under way and asks no more. What is held stays published. */
  close(): void;
}

/** The wall clock is looked at this often, whatever the timers say: a laptop may sleep over them. */
const TICK_MS = 30_000;

/**
 * Gets this workload's certificate, from `begin` on, and keeps it fresh: a key of its own for each, renewed before half of its time is
 * over. When the authority is away it tries again and again and keeps what it has, until that ends.
 */
export function holdIdentity(options: IdentityHolderOptions): IdentityHolder {
  return new RenewingHolder(options);
}

class RenewingHolder implements IdentityHolder {
  readonly identity = createLatest<Identity | null>(null);
  readonly #options: IdentityHolderOptions;
  readonly #abort = new AbortController();
  /** Kept over failed attempts: an authority whose answer was lost knows the key again. */
  /** Whether this process has had a certificate before. */
  #hasHeld = false;
  #keys: KeyPair | null = null;
  #timer: Timer | null = null;
  #state: RenewalState;

  constructor(options: IdentityHolderOptions) {
    this.#options = options;
    this.#state = { at: "waiting", attempt: { at: "due", moment: momentAfter(options.clock, 0), failures: 0 } };
  }

  state(): RenewalState {
    return this.#state;
  }

  begin(): void {
    this.#tick();
  }

  renew(): void {
    if (this.#state.at !== "closed" && this.#state.attempt.at === "due") void this.#ask(this.#state.attempt.failures);
  }

  close(): void {
    this.#state = { at: "closed" };
    this.#timer?.cancel();
    this.#abort.abort();
  }

  /** Looks at both clocks and does what is due. */
  #tick(): void {
    this.#expireIfEnded();
    const state = this.#state;
    if (state.at === "closed") return;
    const { attempt } = state;
    if (attempt.at === "due" && hasCome(this.#options.clock, attempt.moment)) void this.#ask(attempt.failures);
    this.#arm();
  }

  #arm(): void {
    this.#timer?.cancel();
    const state = this.#state;
    this.#timer = state.at === "closed" ? null : this.#options.clock.setTimer(this.#delayMs(state), () => this.#tick());
  }

  #delayMs(state: Exclude<RenewalState, { at: "closed" }>): number {
    const nowMs = this.#options.clock.wallMs();
    const untilDueMs = state.attempt.at === "due" ? state.attempt.moment.wallMs - nowMs : TICK_MS;
    const untilEndMs = state.at === "holding" ? state.identity.notAfterMs + 1 - nowMs : TICK_MS;
    return Math.max(0, Math.min(untilDueMs, untilEndMs, TICK_MS));
  }

  #expireIfEnded(): void {
    const state = this.#state;
    if (state.at !== "holding" || this.#options.clock.wallMs() <= state.identity.notAfterMs) return;
    const { spiffeId, serial } = state.identity;
    this.#state = { at: "waiting", attempt: state.attempt };
    this.#options.logger.log("error", "svid-expired", { spiffeId, serial });
    this.identity.set(null);
  }

  /** One request from start to end. Never throws; a failure sets the time of the next one. */
  async #ask(failures: number): Promise<void> {
    this.#setAttempt({ at: "asking", failures });
    try {
      const renewed = await this.#request();
      if (!this.#isClosed()) this.#hold(renewed);
    } catch (error) {
      if (!this.#isClosed()) this.#postpone(error, failures + 1);
    }
    this.#arm();
  }

  async #request(): Promise<Identity> {
    const { spiffeId, bundles, ttlSec, clock } = this.#options;
    this.#keys ??= generateKeyPair();
    const keys = this.#keys;
    const csrPem = createSigningRequest(keys, spiffeId);
    const state = this.#state;
    const identity = state.at === "holding" && clock.wallMs() <= state.identity.notAfterMs ? state.identity : null;
    const chainPem = await this.#options.requestCertificate({ csrPem, ttlSec, identity }, this.#abort.signal);
    return acceptChain(chainPem, { keys, spiffeId, bundles, nowMs: clock.wallMs() });
  }

  #hold(renewed: Identity): void {
    const { clock, random, logger } = this.#options;
    const renewInMs = renewalDelayMs(renewed.notAfterMs - clock.wallMs(), !this.#hasHeld, random);
    this.#hasHeld = true;
    const attempt: Attempt = { at: "due", moment: momentAfter(clock, renewInMs), failures: 0 };
    this.#keys = null;
    this.#state = { at: "holding", identity: renewed, attempt };
    const notAfter = new Date(renewed.notAfterMs).toISOString();
    logger.log("info", "svid-held", { spiffeId: renewed.spiffeId, serial: renewed.serial, notAfter, renewInMs });
    this.identity.set(renewed);
  }

  #postpone(error: unknown, failures: number): void {
    const { clock, random, logger } = this.#options;
    const retryInMs = retryDelayMs(failures, random);
    this.#setAttempt({ at: "due", moment: momentAfter(clock, retryInMs), failures });
    const { code, message } = toCardeaError(error);
    const state = this.#state;
    const notAfter = state.at === "holding" ? new Date(state.identity.notAfterMs).toISOString() : null;
    logger.log("warn", "svid-request-failed", { code, message, failures, retryInMs, notAfter });
  }

  #setAttempt(attempt: Attempt): void {
    if (this.#state.at !== "closed") this.#state = { ...this.#state, attempt };
  }

  #isClosed(): boolean {
    return this.#state.at === "closed";
  }
}
