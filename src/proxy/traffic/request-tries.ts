import { CardeaError, toCardeaError } from "../../core/errors.ts";
import type { Clock, Random, Timer } from "../../core/ports.ts";
import { NO_TLS } from "../../observe/flow.ts";
import type { RetryPolicy } from "../../traffic/service-traffic.ts";
import { isName } from "../../wire/headers.ts";
import type { RequestHead, ResponseHead } from "../../wire/http1-head.ts";
import { type Permit, permitEgress } from "../authorize.ts";
import type { Pair } from "../record.ts";
import type { NextTry, Tries, TriesOwner, TriesSeen, TryAnswer, TryFailure } from "../tries.ts";
import type { Backend } from "./backend.ts";
import { backoffMs } from "./backoff.ts";
import type { RetryKind } from "./breaker.ts";
import { failureStatus, speaksAgainstWorkload } from "./failure-status.ts";
import { formatGrpcTimeout } from "./grpc-timeout.ts";
import { grpcAsHttpStatus } from "./grpc-as-http.ts";
import { isIdempotent } from "./idempotent.ts";
import type { KeptBodies } from "./kept-body.ts";
import { isLostOnTheWay } from "./once-more.ts";
import { asksAfterAnswer, asksAfterFailure } from "./retry-conditions.ts";

/** What every request of a sidecar tries with. */
export interface TriesParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly bodies: KeptBodies;
}

export interface RequestPlan {
  readonly backend: Backend;
  readonly head: RequestHead;
  readonly retry: RetryPolicy;
  /** Of the traffic rule that was chosen, or null. */
  readonly route: string | null;
  /** From the request's end; 0: none. */
  readonly timeoutMs: number;
  readonly isGrpc: boolean;
  /** From the request's beginning: what a gRPC caller allows. Null: no bound. */
  readonly deadlineMs: number | null;
}

/** The tries of one request to one backend: how often, to whom, how long. One object a request. */
export class RequestTries implements Tries {
  readonly isWatching = true;
  readonly bodies: KeptBodies;
  readonly #parts: TriesParts;
  readonly #plan: RequestPlan;
  /** Keys of the targets that have been tried. */
  readonly #tried = new Set<string>();
  readonly #startedMs: number;
  #headers: string[] | null = null;
  #owner: TriesOwner | null = null;
  #attempts = 1;
  /** Of those, such as the rule's number speaks of. */
  #counted = 0;
  #hasGoneAgain = false;
  #retriedFor: string | null = null;
  #retryKind: RetryKind | null = null;
  #hasEntered = false;
  #isRequestWhole = false;
  #outcomeIsKnown = false;
  #lastPermit: Permit | null = null;
  #waiting: Timer | null = null;
  #tryTimer: Timer | null = null;
  #requestTimer: Timer | null = null;
  #deadlineTimer: Timer | null = null;

  constructor(plan: RequestPlan, parts: TriesParts) {
    this.#plan = plan;
    this.#parts = parts;
    this.bodies = parts.bodies;
    this.#startedMs = parts.clock.monotonicMs();
  }

  /** A gRPC call's next hop is told what is left of its time, with each try. `headers` are those that go out. */
  passDeadline(headers: string[]): void {
    if (!this.#plan.isGrpc) return;
    this.#headers = headers;
    const leftMs = this.#leftMs();
    if (leftMs !== Number.POSITIVE_INFINITY && !this.#writeTimeout(leftMs))
      headers.push("grpc-timeout", formatGrpcTimeout(leftMs));
  }

  get seen(): TriesSeen {
    return { route: this.#plan.route, attempts: this.#attempts, retriedFor: this.#retriedFor };
  }

  begin(owner: TriesOwner, isRequestWhole: boolean): void {
    const { backend, deadlineMs } = this.#plan;
    this.#owner = owner;
    try {
      backend.breaker.enter();
    } catch (thrown) {
      backend.events.onOverflow(backend.service, "requests");
      throw thrown;
    }
    this.#hasEntered = true;
    if (deadlineMs !== null) this.#deadlineTimer = this.#expire(deadlineMs, "request", "the caller's grpc-timeout");
    if (isRequestWhole) this.onRequestWhole();
  }

  onRequestWhole(): void {
    if (this.#isRequestWhole) return;
    this.#isRequestWhole = true;
    if (this.#plan.timeoutMs > 0)
      this.#requestTimer = this.#expire(this.#plan.timeoutMs, "request", "the route's timeout");
    this.#timeTry();
  }

  afterFailure(failure: TryFailure): NextTry | null {
    const { error, permit } = failure;
    this.#report(permit, { from: "local", status: failureStatus(error) }, error);
    const { backend, retry } = this.#plan;
    if (error.code === "upstream-overflow") backend.events.onOverflow(backend.service, "pending");
    const isLost = isLostOnTheWay(failure) && !this.#hasGoneAgain;
    const kind: RetryKind = isLost || isConnectFailure(error) ? "was-not-served" : "may-have-been-served";
    if (!isLost && !this.#isAskedFor(kind, asksAfterFailure(retry, failure))) return null;
    this.#hasGoneAgain ||= isLost;
    if (!isLost) this.#counted++;
    const isBroken = !isConnectFailure(error) && error.code !== "upstream-timeout";
    return this.#next({ kind, why: error.code, permit, pair: failure.pair, waits: !isLost, isBroken });
  }

  afterAnswer(head: ResponseHead, { grpcStatus, permit, pair, mayRepeat }: TryAnswer): NextTry | null {
    this.#endTryTimer();
    this.#lastPermit = permit;
    const { status } = head;
    if (grpcStatus !== null) this.#reportAnswer(permit, grpcAsHttpStatus(grpcStatus));
    else if (!this.#plan.isGrpc || status !== 200) this.#reportAnswer(permit, status);
    if (!mayRepeat) return null;
    if (!this.#isAskedFor("may-have-been-served", asksAfterAnswer(this.#plan.retry, status, grpcStatus))) return null;
    this.#counted++;
    const why = grpcStatus === null ? `${status}` : `grpc-${grpcStatus}`;
    return this.#next({ kind: "may-have-been-served", why, permit, pair, waits: true, isBroken: false });
  }

  onGrpcStatus(status: number | null): void {
    if (status !== null && this.#lastPermit !== null) this.#reportAnswer(this.#lastPermit, grpcAsHttpStatus(status));
  }

  onLastFailure({ error, permit }: TryFailure): void {
    this.#report(permit, { from: "local", status: failureStatus(error) }, error);
  }

  wait(waitMs: number, again: () => void): void {
    this.#waiting = this.#parts.clock.setTimer(waitMs, again);
  }

  onDone(): void {
    this.#waiting?.cancel();
    this.#endTryTimer();
    this.#requestTimer?.cancel();
    this.#deadlineTimer?.cancel();
    this.#endRetry();
    if (this.#hasEntered) this.#plan.backend.breaker.leave();
  }

  /** Whether the rule has tries left, asks for one, and may: without a rule of the user's own nothing is done twice. */
  #isAskedFor(kind: RetryKind, isAsked: boolean): boolean {
    const { retry, head } = this.#plan;
    if (!isAsked || this.#counted >= retry.attempts || head.upgrade !== null) return false;
    return kind === "was-not-served" || retry.isExplicit || isIdempotent(head.method);
  }

  #next(wish: {
    readonly kind: RetryKind;
    readonly why: string;
    readonly permit: Permit;
    readonly pair: Pair;
    readonly waits: boolean;
    /** The connection that was used, and perhaps others that were made with it, is of no more use. */
    readonly isBroken: boolean;
  }): NextTry | null {
    const { backend, retry } = this.#plan;
    this.#tried.add(wish.permit.target.key);
    this.#endTryTimer();
    this.#endRetry();
    const leave = backend.breaker.beginRetry(wish.kind, backend.active);
    if (leave !== "allowed") {
      backend.events.onOverflow(backend.service, leave === "limit" ? "retries" : "retry-budget");
      return null;
    }
    this.#retryKind = wish.kind;
    const member = this.#pickOrNull();
    if (member === null) return null;
    backend.events.onRetry(backend.service);
    this.#attempts++;
    this.#retriedFor = wish.why;
    this.#outcomeIsKnown = false;
    const isSame = this.#tried.has(member.target.key);
    if (this.#headers !== null) this.#writeTimeout(this.#leftMs());
    const waits = wish.waits && (isSame || wish.kind === "may-have-been-served");
    if (this.#isRequestWhole) this.#timeTry();
    return {
      permit: permitEgress(member.target),
      pair: { ...wish.pair, destination: member.peer, tls: NO_TLS },
      want: isSame && wish.isBroken ? "fresh" : "any",
      waitMs: waits ? backoffMs(this.#attempts - 1, retry.backoffMs, this.#parts.random) : 0,
      tries: this,
    };
  }

  /** Until the first of the bounds on a try that begins now. */
  #leftMs(): number {
    const { deadlineMs, timeoutMs, retry } = this.#plan;
    const whole = Math.min(
      deadlineMs ?? Number.POSITIVE_INFINITY,
      timeoutMs > 0 ? timeoutMs : Number.POSITIVE_INFINITY,
    );
    const left = whole - (this.#parts.clock.monotonicMs() - this.#startedMs);
    return retry.perTryTimeoutMs > 0 ? Math.min(left, retry.perTryTimeoutMs) : left;
  }

  /** Whether there was a field to write it to. */
  #writeTimeout(leftMs: number): boolean {
    const headers = this.#headers!;
    for (let i = 0; i < headers.length; i += 2) {
      if (!isName(headers[i]!, "grpc-timeout")) continue;
      headers[i + 1] = formatGrpcTimeout(leftMs);
      return true;
    }
    return false;
  }

  #pickOrNull() {
    try {
      return this.#plan.backend.pickAnother(this.#tried);
    } catch (thrown) {
      // Everybody has been ejected meanwhile: the failure that is there says more than that.
      if (toCardeaError(thrown).code === "no-healthy-upstream") return null;
      throw thrown;
    }
  }

  #endRetry(): void {
    if (this.#retryKind !== null) this.#plan.backend.breaker.endRetry(this.#retryKind);
    this.#retryKind = null;
  }

  #timeTry(): void {
    const { perTryTimeoutMs } = this.#plan.retry;
    if (perTryTimeoutMs > 0) this.#tryTimer = this.#expire(perTryTimeoutMs, "try", "perTryTimeout");
  }

  #endTryTimer(): void {
    this.#tryTimer?.cancel();
    this.#tryTimer = null;
  }

  #expire(afterMs: number, scope: "try" | "request", what: string): Timer {
    return this.#parts.clock.setTimer(afterMs, () => {
      this.#owner?.onTimeout(scope, new CardeaError("upstream-timeout", `${what} is over (${afterMs} ms)`));
    });
  }

  #reportAnswer(permit: Permit, status: number): void {
    if (this.#outcomeIsKnown) return;
    this.#outcomeIsKnown = true;
    this.#plan.backend.report(permit.target, { from: "workload", status });
  }

  #report(permit: Permit, outcome: { from: "local"; status: number }, error: CardeaError): void {
    // What is no fault of the workload's, or has been counted with its answer, is not counted.
    if (this.#outcomeIsKnown || !speaksAgainstWorkload(error)) return;
    this.#outcomeIsKnown = true;
    this.#plan.backend.report(permit.target, outcome);
  }
}

function isConnectFailure({ code }: CardeaError): boolean {
  return code === "upstream-connect-failed" || code === "upstream-connect-timeout";
}
