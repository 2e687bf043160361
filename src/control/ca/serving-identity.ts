import { toCardeaError } from "../../core/errors.ts";
import { type Latest, type LatestSource, createLatest } from "../../core/latest.ts";
import type { Clock, Logger, Timer, TlsMaterial } from "../../core/ports.ts";
import type { SpiffeId } from "../../core/spiffe-id.ts";
import { encodePrivateKey, generateKeyPair } from "../../pki/keys.ts";
import { encodePem } from "../../pki/pem.ts";
import type { Authority } from "./authority.ts";
import type { IssueSvid } from "./issue.ts";

/** The control plane's own certificate, which it issues to itself. */
export interface ServingIdentity {
  readonly material: Latest<TlsMaterial>;
  /** When the one that is shown now ends. */
  notAfterMs(): number;
  close(): void;
}

export interface ServingIdentityOptions {
  /** `spiffe://<trust domain>/ns/<root namespace>/sa/cardea-control`: what sidecars expect. */
  readonly spiffeId: SpiffeId;
  readonly authority: Authority;
  readonly issue: IssueSvid;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The wall clock is looked at this often, whatever the timers say: a laptop may sleep over them. */
const TICK_MS = 30_000;

/** Issues at once, and again at each half of the certificate's life. Errors: those of `issue`. */
export async function holdServingIdentity(options: ServingIdentityOptions): Promise<ServingIdentity> {
  const first = await issueOwn(options);
  const holder = new ServingHolder(options, first);
  return { material: holder.material, notAfterMs: () => holder.notAfterMs, close: () => holder.close() };
}

interface Served {
  readonly material: TlsMaterial;
  readonly notAfterMs: number;
  readonly renewAtMs: number;
}

class ServingHolder {
  readonly material: LatestSource<TlsMaterial>;
  notAfterMs: number;
  readonly #options: ServingIdentityOptions;
  #renewAtMs: number;
  #timer: Timer;

  constructor(options: ServingIdentityOptions, first: Served) {
    this.material = createLatest(first.material);
    this.notAfterMs = first.notAfterMs;
    this.#options = options;
    this.#renewAtMs = first.renewAtMs;
    this.#timer = this.#arm();
  }

  close(): void {
    this.#timer.cancel();
  }

  #arm(): Timer {
    return this.#options.clock.setTimer(TICK_MS, () => {
      this.#timer = this.#arm();
      if (this.#options.clock.wallMs() >= this.#renewAtMs) void this.#renew();
    });
  }

  async #renew(): Promise<void> {
    try {
      const next = await issueOwn(this.#options);
      this.#renewAtMs = next.renewAtMs;
      this.notAfterMs = next.notAfterMs;
      this.material.set(next.material);
    } catch (error) {
      // The next tick tries again; half of the certificate's life is left for that.
      this.#options.logger.log("error", "own-svid-failed", { message: toCardeaError(error).message });
    }
  }
}

async function issueOwn({ spiffeId, authority, issue, clock }: ServingIdentityOptions): Promise<Served> {
  const keys = generateKeyPair();
  const issued = await issue({ spiffeId, publicKey: keys.publicKey, ttlSec: 0 });
  // The root stays out: callers have pinned it.
  const chainPem = issued.chainDer.slice(0, -1).map((der) => encodePem("CERTIFICATE", der));
  return {
    material: {
      chainPem: chainPem.join(""),
      keyPem: encodePrivateKey(keys.privateKey),
      rootsPem: authority.bundle.pem,
    },
    notAfterMs: issued.notAfterMs,
    renewAtMs: clock.wallMs() + (issued.notAfterMs - clock.wallMs()) / 2,
  };
}
