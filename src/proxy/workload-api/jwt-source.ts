import { GET_BUNDLE, NEW_JWT_SVID } from "../../api/methods.ts";
import { BUNDLE, EMPTY_REQUEST, NEW_JWT_SVID_REQUEST, NEW_JWT_SVID_RESPONSE } from "../../api/workload-messages.ts";
import { CardeaError, toCardeaError } from "../../core/errors.ts";
import { createLatest, type Latest } from "../../core/latest.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Clock, Logger, Random, Timer } from "../../core/ports.ts";
import { parseTrustDomain, type SpiffeId, trustDomainOf } from "../../core/spiffe-id.ts";
import type { TokenKey } from "../../pki/jwks.ts";
import { type JwtBundles, parseJwtSvid } from "../../pki/jwt-svid.ts";
import { parsePublicKey } from "../../pki/keys.ts";
import type { CallControl } from "../calls/control-call.ts";
import type { Identity } from "../identity/identity.ts";

export interface JwtSourceOptions {
  readonly spiffeId: SpiffeId;
  /** The sidecar's own, by which it proves for whom it asks. */
  readonly sidecar: Latest<Identity | null>;
  readonly callControl: CallControl;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

interface KeptToken {
  readonly token: string;
  /** From then on another one is asked for. */
  readonly untilMs: number;
}

/** After a failure, and before keys are asked for because a token names one that is not known. */
const RETRY_MS = 10_000;

/** Tokens for the workload, and the keys that tokens are verified with, as the authority gives them. */
export class JwtSource {
  /** Null: they have not come yet. */
  readonly bundles = createLatest<JwtBundles | null>(null);
  /** Why the keys could not be had the last time, or null. */
  readonly failure = createLatest<CardeaError | null>(null);
  readonly #options: JwtSourceOptions;
  readonly #tokens = new Map<string, KeptToken>();
  #sequence = -1;
  #refreshing: Promise<void> | null = null;
  #askedMs = -Infinity;
  #timer: Timer | null = null;
  #isClosed = false;

  constructor(options: JwtSourceOptions) {
    this.#options = options;
  }

  /**
   * A token for these audiences; one that is kept serves for half of its life. Errors: `identity-not-ready`,
   * `attestation-failed`, `bad-request`, `unreachable`.
   */
  async fetchToken(audiences: readonly string[]): Promise<string> {
    const { sidecar, callControl, clock, spiffeId } = this.#options;
    const key = JSON.stringify(audiences.toSorted());
    const kept = this.#tokens.get(key);
    if (kept !== undefined && clock.wallMs() < kept.untilMs) return kept.token;
    const identity = sidecar.get();
    if (identity === null) throw new CardeaError("identity-not-ready", "the sidecar holds no certificate yet");
    const request = NEW_JWT_SVID_REQUEST.serialize({ entryId: spiffeId, audience: audiences });
    const { svid } = NEW_JWT_SVID_RESPONSE.deserialize(await callControl(NEW_JWT_SVID, request, identity));
    const token = svid?.token ?? "";
    const read = parseJwtSvid(token);
    if (read.spiffeId !== spiffeId)
      throw new CardeaError("unreachable", `the authority gave a token of ${read.spiffeId}`);
    this.#keep(key, { token, untilMs: (clock.wallMs() + read.notAfterMs) / 2 });
    return token;
  }

  /** From now on the keys are kept fresh. */
  want(): void {
    if (this.#timer === null && this.#refreshing === null && !this.#isClosed) void this.refresh();
  }

  /** Asks for the keys, unless that was done a moment ago. Never rejects; see `failure`. */
  refresh(): Promise<void> {
    if (this.#refreshing !== null) return this.#refreshing;
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs - this.#askedMs < RETRY_MS) return Promise.resolve();
    this.#askedMs = nowMs;
    this.#timer?.cancel();
    this.#refreshing = this.#ask().finally(() => {
      this.#refreshing = null;
    });
    return this.#refreshing;
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  async #ask(): Promise<void> {
    const { callControl, sidecar, logger } = this.#options;
    let nextMs = RETRY_MS;
    try {
      const answer = BUNDLE.deserialize(await callControl(GET_BUNDLE, EMPTY_REQUEST.serialize({}), sidecar.get()));
      // A replica that is behind must not take a key away that another one signs with.
      if (answer.sequenceNumber >= this.#sequence) {
        this.#sequence = answer.sequenceNumber;
        this.bundles.set(this.#bundlesOf(answer.trustDomain, answer.jwtAuthorities));
      }
      this.failure.set(null);
      nextMs = Math.max(RETRY_MS, Math.min(answer.refreshHint * 1_000, LIMITS.bundleRefreshMs));
    } catch (thrown) {
      const error = toCardeaError(thrown);
      logger.log("warn", "jwt-keys-not-refreshed", { code: error.code, message: error.message });
      this.failure.set(error);
    }
    if (this.#isClosed) return;
    const jitteredMs = nextMs * (1 + this.#options.random.float() / 10);
    this.#timer = this.#options.clock.setTimer(jitteredMs, () => void this.refresh());
  }

  #bundlesOf(
    trustDomainText: string,
    authorities: readonly { readonly publicKey: Buffer; readonly keyId: string }[],
  ): JwtBundles {
    const trustDomain = parseTrustDomain(trustDomainText);
    if (trustDomain !== trustDomainOf(this.#options.spiffeId))
      throw new CardeaError("unreachable", `the authority told the keys of ${trustDomain}`);
    const keys = authorities.flatMap(({ publicKey, keyId }): readonly TokenKey[] => {
      const key = parsePublicKey(publicKey);
      return key === null || keyId === "" ? [] : [{ keyId, algorithm: null, key }];
    });
    return new Map([[trustDomain, keys]]);
  }

  #keep(key: string, token: KeptToken): void {
    this.#tokens.delete(key);
    const [oldest] = this.#tokens.keys();
    if (this.#tokens.size >= LIMITS.jwtTokensKeptMax) this.#tokens.delete(oldest!);
    this.#tokens.set(key, token);
  }
}
