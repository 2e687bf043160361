import { CardeaError, toCardeaError } from "../../core/errors.ts";
import { createLatest, type Latest } from "../../core/latest.ts";
import type { RequestCertificate } from "../identity/certificate-client.ts";
import type { Identity } from "../identity/identity.ts";
import { holdIdentity, type IdentityHolder, type IdentityHolderOptions } from "../identity/renew.ts";

export interface AppIdentityOptions extends IdentityHolderOptions {
  /** The sidecar's own, by which it proves for whom it asks. */
  readonly sidecar: Latest<Identity | null>;
}

/**
 * What the app gets to prove who it is: the workload's SPIFFE ID, with a key pair of its own. The sidecar's key stays where
 * it is, so what the app does with its key, or loses, does not touch the sidecar's connections
 * (docs/adr/0030-the-app-gets-a-key-of-its-own.md). Nothing is asked of the authority before somebody wants it.
 */
export class AppIdentity {
  readonly identity: Latest<Identity | null>;
  /** Why the last request failed; null: there was none, or it did not. */
  readonly failure = createLatest<CardeaError | null>(null);
  readonly #sidecar: Latest<Identity | null>;
  readonly #holder: IdentityHolder;
  #isWanted = false;
  #stopWaiting = (): void => {};

  constructor(options: AppIdentityOptions) {
    this.#sidecar = options.sidecar;
    this.#holder = holdIdentity({ ...options, requestCertificate: this.#provedBySidecar(options.requestCertificate) });
    this.identity = this.#holder.identity;
  }

  /** From now on there is to be one. */
  want(): void {
    if (this.#isWanted) return;
    this.#isWanted = true;
    if (this.#sidecar.get() !== null) this.#holder.begin();
    else this.#stopWaiting = this.#sidecar.subscribe(() => this.#beginAfterSidecar());
  }

  renew(): void {
    if (this.identity.get() !== null) this.#holder.renew();
  }

  close(): void {
    this.#stopWaiting();
    this.#holder.close();
  }

  #beginAfterSidecar(): void {
    this.#stopWaiting();
    this.#holder.begin();
  }

  #provedBySidecar(request: RequestCertificate): RequestCertificate {
    return async (asked, signal) => {
      try {
        const identity = this.#sidecar.get();
        if (identity === null) throw new CardeaError("identity-not-ready", "the sidecar holds no certificate itself");
        const chain = await request({ ...asked, identity }, signal);
        this.failure.set(null);
        return chain;
      } catch (thrown) {
        const error = toCardeaError(thrown);
        this.failure.set(error);
        throw error;
      }
    };
  }
}
