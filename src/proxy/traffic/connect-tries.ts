import type { CardeaError } from "../../core/errors.ts";
import type { FlowPeer } from "../../observe/flow.ts";
import { DEFAULT_RETRY } from "../../traffic/default-traffic.ts";
import { type Permit, permitEgress } from "../authorize.ts";
import type { Target } from "../target.ts";
import type { TriesSeen } from "../tries.ts";
import type { Backend } from "./backend.ts";
import { speaksAgainstWorkload } from "./failure-status.ts";
import type { Member } from "./member.ts";

/** Another workload for a connection that the first did not take. */
export interface NextConnect {
  readonly permit: Permit;
  readonly destination: FlowPeer;
}

/**
 * The tries to connect for bytes that nobody reads. None of them has gone anywhere before a workload has taken the
 * connection, so it goes to another one at once, as often as a request does that was not served; to the same one, never.
 * What `maxRetries` bounds holds here as well. Envoy's tcp_proxy has max_connect_attempts for this, 1 unless said.
 */
export class ConnectTries {
  readonly #backend: Backend;
  /** Keys of the targets that have been tried. */
  readonly #tried = new Set<string>();
  #target: Target;
  #attempts = 1;
  #retriedFor: string | null = null;
  #isRetrying = false;

  constructor(backend: Backend, first: Target) {
    this.#backend = backend;
    this.#target = first;
  }

  /** For the record; null where the first took it, or nobody was asked besides. */
  get seen(): TriesSeen | null {
    return this.#attempts === 1 ? null : { route: null, attempts: this.#attempts, retriedFor: this.#retriedFor };
  }

  /** Null: no further try. */
  afterFailure(error: CardeaError): NextConnect | null {
    this.onDone();
    // Whoever proves to be another workload is not stepped around: that is a denial (ADR 0016).
    if (!speaksAgainstWorkload(error) || error.code === "peer-identity-mismatch") return null;
    this.#tried.add(this.#target.key);
    const member = this.#attempts > DEFAULT_RETRY.attempts ? null : this.#backend.pickUntried(this.#tried);
    return member === null ? null : this.#begin(member, error);
  }

  /** The last try has come to its end, whichever. To be called once a try, or more often. */
  onDone(): void {
    if (this.#isRetrying) this.#backend.breaker.endRetry("was-not-served");
    this.#isRetrying = false;
  }

  #begin({ target, peer }: Member, error: CardeaError): NextConnect | null {
    const { breaker, active, events, service } = this.#backend;
    if (breaker.beginRetry("was-not-served", active) !== "allowed") {
      events.onOverflow(service, "retries");
      return null;
    }
    this.#isRetrying = true;
    events.onRetry(service);
    this.#attempts++;
    this.#retriedFor = error.code;
    this.#target = target;
    return { permit: permitEgress(target), destination: peer };
  }
}
