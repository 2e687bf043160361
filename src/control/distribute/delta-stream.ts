import type { DeltaDiscoveryRequest__Output } from "../../api/generated/envoy/service/discovery/v3/DeltaDiscoveryRequest.ts";
import type { DeltaDiscoveryResponse } from "../../api/generated/envoy/service/discovery/v3/DeltaDiscoveryResponse.ts";
import { ADDRESS_TYPE, POLICY_SET_TYPE, POLICY_TYPE } from "../../api/resource-types.ts";
import { CardeaError, toCardeaError } from "../../core/errors.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Timer } from "../../core/ports.ts";
import { CatchUp, type CatchUpOptions } from "./catch-up.ts";
import type { ResourceView } from "./resource.ts";
import { type Answer, createSubscription, type Subscription } from "./subscription.ts";

/** One client's stream with all its types. */
export interface DeltaStream {
  receive(request: DeltaDiscoveryRequest__Output): void;
  /** What the client may see has perhaps changed, at this time of the monotonic clock. */
  push(changedAtMs: number): void;
  close(): void;
}

export interface DeltaStreamOptions extends CatchUpOptions {
  /** What the client may see now. */
  view(): ResourceView;
  send(response: DeltaDiscoveryResponse): void;
  /** The stream cannot go on; `close` has been called. */
  fail(error: CardeaError): void;
  /** The first request of a type; `heldCount` resources are left from an earlier stream. */
  onSubscribe(typeUrl: string, heldCount: number): void;
  onAnswer(typeUrl: string, answer: Answer): void;
  onUnknownType(typeUrl: string): void;
  /** Names of resources that the client asks for, and no more asks for. */
  onNames?(typeUrl: string, added: readonly string[], removed: readonly string[]): void;
}

/** In the order of sending: a policy set comes after the policies that it is made of. */
const TYPES: readonly string[] = [ADDRESS_TYPE, POLICY_TYPE, POLICY_SET_TYPE];

/**
 * Joins the subscriptions of one stream. At most one response of a type waits for its answer, and policies and policy
 * sets take turns: else a set that the client still compiles would lose the policies it is made of to the next revision.
 */
export function createDeltaStream(options: DeltaStreamOptions): DeltaStream {
  const subscriptions = new Map<string, Subscription>();
  const answerTimers = new Map<string, Timer>();
  let hasUnknownType = false;
  const catchUp = new CatchUp(options);
  let isScheduled = false;
  let isClosed = false;

  function subscriptionOf(request: DeltaDiscoveryRequest__Output): Subscription {
    const known = subscriptions.get(request.typeUrl);
    if (known !== undefined) return known;
    const subscription = createSubscription(request.typeUrl);
    subscriptions.set(request.typeUrl, subscription);
    options.onSubscribe(request.typeUrl, Object.keys(request.initialResourceVersions).length);
    return subscription;
  }

  function take(request: DeltaDiscoveryRequest__Output): void {
    const answer = subscriptionOf(request).receive(request);
    options.onNames?.(request.typeUrl, request.resourceNamesSubscribe, request.resourceNamesUnsubscribe);
    if (answer === null) return;
    answerTimers.get(request.typeUrl)?.cancel();
    answerTimers.delete(request.typeUrl);
    if (answer.error !== null) catchUp.refused();
    options.onAnswer(request.typeUrl, answer);
  }

  /** Requests and changes of one turn of the event loop make one comparison. */
  function schedule(): void {
    if (isScheduled || isClosed) return;
    isScheduled = true;
    setImmediate(() => {
      isScheduled = false;
      if (isClosed) return;
      try {
        sendChanges();
      } catch (thrown) {
        stop(toCardeaError(thrown));
      }
    });
  }

  function sendChanges(): void {
    const view = options.view();
    for (const typeUrl of TYPES) {
      const subscription = subscriptions.get(typeUrl);
      const typeView = view.get(typeUrl);
      if (subscription === undefined || typeView === undefined || mustWait(typeUrl)) continue;
      const response = subscription.next(typeView);
      if (response === null) continue;
      awaitAnswer(typeUrl);
      catchUp.sent();
      options.send(response);
    }
    if (answerTimers.size === 0) catchUp.settled();
  }

  function mustWait(typeUrl: string): boolean {
    if (typeUrl === POLICY_TYPE) return subscriptions.get(POLICY_SET_TYPE)?.isAwaitingAnswer ?? false;
    if (typeUrl !== POLICY_SET_TYPE) return false;
    const policies = subscriptions.get(POLICY_TYPE);
    // A set with a refused policy could never be put in force; the client would answer nothing.
    return policies !== undefined && (policies.isAwaitingAnswer || policies.hasRefused);
  }

  function awaitAnswer(typeUrl: string): void {
    const timer = options.clock.setTimer(LIMITS.discoveryAnswerTimeoutMs, () => {
      const afterSec = LIMITS.discoveryAnswerTimeoutMs / 1_000;
      stop(new CardeaError("request-timeout", `no answer to a response of ${typeUrl} within ${afterSec} s`));
    });
    answerTimers.set(typeUrl, timer);
  }

  function stop(error: CardeaError): void {
    close();
    options.fail(error);
  }

  function close(): void {
    isClosed = true;
    for (const timer of answerTimers.values()) timer.cancel();
    answerTimers.clear();
  }

  return {
    receive(request) {
      if (isClosed) return;
      if (!TYPES.includes(request.typeUrl)) {
        // No answer rather than an empty one: to some clients "no authorization policies" means that all is allowed.
        if (!hasUnknownType) options.onUnknownType(request.typeUrl);
        hasUnknownType = true;
        return;
      }
      try {
        take(request);
      } catch (thrown) {
        stop(toCardeaError(thrown));
        return;
      }
      schedule();
    },
    push(changedAtMs) {
      catchUp.changed(changedAtMs);
      schedule();
    },
    close,
  };
}
