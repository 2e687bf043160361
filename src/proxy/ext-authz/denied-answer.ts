import { encodeStatusMessage, grpcCodeOfHttp } from "../../wire/grpc-status.ts";
import type { BodyFraming } from "../../wire/http1-head.ts";
import { reasonPhraseOf } from "../../wire/reason-phrase.ts";
import type { LocalAnswer } from "../local-answer.ts";
import type { ExtAuthzVerdict } from "./verdict.ts";

interface DeniedRequest {
  readonly method: string;
  readonly isGrpc: boolean;
}

/** What a caller gets whom a server outside denies: the server's words, and our id. */
export function deniedAnswer(
  verdict: Pick<Extract<ExtAuthzVerdict, { at: "denied" }>, "status" | "headers" | "body">,
  { method, isGrpc }: DeniedRequest,
): (denialId: string) => LocalAnswer {
  return (denialId) => {
    const { status } = verdict;
    const own = ["x-cardea-denial", denialId];
    if (isGrpc) return grpcAnswer(verdict, own);
    const hasContent = status !== 204 && status !== 205 && status !== 304 && method !== "HEAD";
    const body = hasContent ? verdict.body : Buffer.alloc(0);
    const framing: BodyFraming = hasContent ? { kind: "length", bytes: body.length } : { kind: "none" };
    const headers = [...verdict.headers, ...own];
    return { status, answer: { status, reason: reasonPhraseOf(status), headers, framing, isLast: false }, body };
  };
}

/** An answer without messages, its status in the head. What the server would have shown a browser becomes the message. */
function grpcAnswer(
  { status, headers, body }: Parameters<typeof deniedAnswer>[0],
  own: readonly string[],
): LocalAnswer {
  const told = headers.some((name, i) => i % 2 === 0 && name.toLowerCase() === "grpc-status");
  const others = headers.filter((_, i) => headers[i - (i % 2)]!.toLowerCase() !== "content-type");
  const message = encodeStatusMessage(body.subarray(0, MESSAGE_BYTES_MAX).toString("utf8"));
  const fields = told ? [] : ["grpc-status", `${grpcCodeOfHttp(status)}`, "grpc-message", message];
  return {
    status: 200,
    answer: {
      status: 200,
      reason: "OK",
      headers: ["content-type", "application/grpc", ...fields, ...others, ...own],
      framing: { kind: "length", bytes: 0 },
      isLast: false,
    },
    body: Buffer.alloc(0),
  };
}

const MESSAGE_BYTES_MAX = 1_024;
