import { LIMITS } from "../../core/limits.ts";
import { GRPC, type GrpcStatus } from "../../wire/grpc-status.ts";
import { NOTHING, type ServedMethod } from "../calls/served-calls.ts";

/** Counts the calls that each caller has under way: one that opens them without end takes nobody else's place. */
export class Callers {
  readonly #calls = new Map<unknown, number>();

  /** The method, for calls of this caller. `caller` is whatever tells one from another. */
  bounded(caller: unknown, method: ServedMethod): ServedMethod {
    return (call) => {
      const count = this.#calls.get(caller) ?? 0;
      if (count >= LIMITS.workloadApiCallsMax) {
        call.end(TOO_MANY);
        return NOTHING;
      }
      this.#calls.set(caller, count + 1);
      const events = method(call);
      return {
        onMessage: (message) => events.onMessage(message),
        onRequestEnd: () => events.onRequestEnd(),
        onDrain: () => events.onDrain(),
        onOver: () => {
          this.#release(caller);
          events.onOver();
        },
      };
    };
  }

  #release(caller: unknown): void {
    const left = this.#calls.get(caller)! - 1;
    if (left === 0) this.#calls.delete(caller);
    else this.#calls.set(caller, left);
  }
}

const TOO_MANY: GrpcStatus = {
  code: GRPC.RESOURCE_EXHAUSTED,
  message: `more than ${LIMITS.workloadApiCallsMax} calls of one caller are under way`,
};
