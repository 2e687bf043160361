import type { Tries, NextTry, TryFailure } from "../tries.ts";
import { DEFAULT_RETRY } from "../../traffic/default-traffic.ts";
import { isGrpcCall } from "../grpc.ts";
import type { Backend } from "./backend.ts";
import type { KeptBodies } from "./kept-body.ts";
import { RequestTries, type TriesParts } from "./request-tries.ts";

/**
 * The tries of all requests to a backend that no rule watches: nothing is kept of a request until its first try has
 * failed, so that those that do not fail cost nothing.
 */
export class PlainTries implements Tries {
  readonly isWatching = false;
  readonly seen = null;
  readonly bodies: KeptBodies;
  readonly #backend: Backend;
  readonly #parts: TriesParts;

  constructor(backend: Backend, parts: TriesParts) {
    this.#backend = backend;
    this.#parts = parts;
    this.bodies = parts.bodies;
  }

  afterFailure(failure: TryFailure): NextTry | null {
    const plan = { backend: this.#backend, head: failure.head, retry: DEFAULT_RETRY, route: null };
    return new RequestTries(
      { ...plan, timeoutMs: 0, isGrpc: isGrpcCall(failure.head), deadlineMs: null },
      this.#parts,
    ).afterFailure(failure);
  }

  begin(): void {}
  onRequestWhole(): void {}
  afterAnswer(): null {
    return null;
  }
  onGrpcStatus(): void {}
  onLastFailure(): void {}
  wait(): void {}
  onDone(): void {}
}
