import { GRPC, type GrpcStatus } from "../../wire/grpc-status.ts";
import type { Channel } from "../streams.ts";
import { beginGrpcCall, type GrpcCallOptions } from "./grpc-call.ts";

export type UnaryOutcome =
  | { readonly at: "answered"; readonly message: Buffer }
  | { readonly at: "failed"; readonly status: GrpcStatus };

/** One message there, in pieces that are sent as they are, and one back. Never rejects; a call that is given up fails with CANCELLED. */
export function callUnary(
  channel: Channel,
  message: Buffer | readonly Buffer[],
  options: GrpcCallOptions,
  signal: AbortSignal,
): Promise<UnaryOutcome> {
  if (signal.aborted) return Promise.resolve(GIVEN_UP);
  return new Promise((resolve) => {
    const answers: Buffer[] = [];
    const settle = (outcome: UnaryOutcome): void => {
      signal.removeEventListener("abort", onAbort);
      resolve(outcome);
    };
    const call = beginGrpcCall(channel, options, {
      onMessage(answer) {
        answers.push(answer);
        if (answers.length === 1) return;
        call.cancel();
        settle(TOO_MANY);
      },
      onEnd(status) {
        const [answer] = answers;
        if (status.code !== GRPC.OK) settle({ at: "failed", status });
        else settle(answer === undefined ? TOO_FEW : { at: "answered", message: answer });
      },
    });
    const onAbort = (): void => {
      call.cancel();
      settle(GIVEN_UP);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    call.send(...(Buffer.isBuffer(message) ? [message] : message));
    call.sendEnd();
  });
}

const GIVEN_UP = failed(GRPC.CANCELLED, "the call was given up");
const TOO_FEW = failed(GRPC.INTERNAL, "there is no message in the answer");
const TOO_MANY = failed(GRPC.INTERNAL, "there is more than one message in the answer");

function failed(code: number, message: string): UnaryOutcome {
  return { at: "failed", status: { code, message } };
}
