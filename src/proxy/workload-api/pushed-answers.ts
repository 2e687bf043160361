import { LIMITS } from "../../core/limits.ts";
import type { Clock } from "../../core/ports.ts";
import { GRPC, type GrpcStatus } from "../../wire/grpc-status.ts";
import type { ServedMethod } from "../calls/served-calls.ts";

/** What there is to say at a moment: a message, the call's end, or nothing yet. */
export type Answer =
  | { readonly at: "message"; readonly message: Buffer }
  | { readonly at: "end"; readonly status: GrpcStatus }
  | { readonly at: "nothing-yet"; readonly status: GrpcStatus };

export interface PushedAnswersOptions<Request> {
  /** Takes the one request of the call. Errors: `bad-input`. */
  readonly parse: (request: Buffer) => Request;
  /** Asked when the request has come, and after each change. */
  readonly compose: (request: Request) => Answer;
  /** Calls `onChange` whenever `compose` may say something else; the result ends that. */
  readonly subscribe: (onChange: () => void) => () => void;
  readonly clock: Clock;
}

/**
 * One request, and an answer to it at once and whenever it changes, always the whole of it. While there is nothing to say
 * the caller waits, for LIMITS.workloadApiWaitMs at most. A caller that reads slowly gets the newest and none of those in
 * between. SPIFFE Workload API section 4.3.
 */
export function pushedAnswers<Request>(options: PushedAnswersOptions<Request>): ServedMethod {
  const { parse, compose, subscribe, clock } = options;
  return (call) => {
    let asked: { readonly request: Request } | null = null;
    let unsubscribe = NOTHING_TO_END;
    let sent: Buffer | null = null;
    let isBlocked = false;
    const waiting = clock.setTimer(LIMITS.workloadApiWaitMs, () => {
      if (asked === null) return call.end(NO_REQUEST);
      const answer = compose(asked.request);
      if (sent === null && answer.at === "nothing-yet") call.end(answer.status);
    });
    const push = (): void => {
      if (isBlocked || asked === null) return;
      try {
        const answer = compose(asked.request);
        if (answer.at === "end") call.end(answer.status);
        if (answer.at !== "message" || sent?.equals(answer.message) === true) return;
        sent = answer.message;
        isBlocked = !call.send(answer.message);
      } catch (thrown) {
        call.fail(thrown);
      }
    };
    return {
      onMessage(request) {
        if (asked !== null) return call.end(ONE_REQUEST);
        asked = { request: parse(request) };
        unsubscribe = subscribe(push);
        return push();
      },
      onRequestEnd() {
        if (asked === null) call.end(NO_REQUEST);
      },
      onDrain() {
        isBlocked = false;
        push();
      },
      onOver() {
        waiting.cancel();
        unsubscribe();
      },
    };
  };
}

const NOTHING_TO_END = (): void => {};

export const NO_REQUEST: GrpcStatus = { code: GRPC.INVALID_ARGUMENT, message: "there is no request in the call" };
export const ONE_REQUEST: GrpcStatus = { code: GRPC.INVALID_ARGUMENT, message: "there is more than one request" };
