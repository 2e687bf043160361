import { ERROR_TABLE, type ErrorCode } from "../core/errors.ts";
import type { BodyFraming } from "../wire/http1-head.ts";
import { reasonPhraseOf } from "../wire/reason-phrase.ts";
import type { Answer, DownstreamStream } from "./streams.ts";

export interface LocalCause {
  readonly code: ErrorCode;
  /** Of the flow record, when the request was denied; it is all that the caller learns of the reason. */
  readonly denialId: string | null;
  /** The request's method; null when it could not be read. */
  readonly method: string | null;
  /** A gRPC call, whose client looks for a status of gRPC's. */
  readonly isGrpc: boolean;
}

export interface LocalAnswer {
  readonly status: number;
  readonly answer: Answer;
  readonly body: Buffer;
}

/** An answer of our own: a status, one line of text, and for a denial its id. */
export function makeLocalAnswer(cause: LocalCause): LocalAnswer {
  if (cause.isGrpc) return makeGrpcAnswer(cause);
  const { httpStatus: status, close } = ERROR_TABLE[cause.code];
  const text = Buffer.from(`${textOf(cause)}\n`, "latin1");
  const headers = ["content-type", "text/plain"];
  if (cause.denialId !== null) headers.push("x-cardea-denial", cause.denialId);
  const isHead = cause.method === "HEAD";
  if (isHead) headers.push("content-length", String(text.length));
  const framing: BodyFraming = isHead ? { kind: "none" } : { kind: "length", bytes: text.length };
  const answer = {
    status,
    reason: reasonPhraseOf(status),
    headers,
    framing,
    isLast: close !== "keep",
  };
  return { status, answer, body: isHead ? EMPTY : text };
}

/** An answer without messages, its status in the head ("Trailers-Only"). grpc/grpc doc/PROTOCOL-HTTP2.md, Responses. */
function makeGrpcAnswer(cause: LocalCause): LocalAnswer {
  const { grpcStatus, close } = ERROR_TABLE[cause.code];
  const headers = ["content-type", "application/grpc", "grpc-status", `${grpcStatus}`, "grpc-message", textOf(cause)];
  if (cause.denialId !== null) headers.push("x-cardea-denial", cause.denialId);
  const framing: BodyFraming = { kind: "length", bytes: 0 };
  const answer = { status: 200, reason: "OK", headers, framing, isLast: close !== "keep" };
  return { status: 200, answer, body: EMPTY };
}

export function sendLocalAnswer(stream: DownstreamStream, { answer, body }: LocalAnswer): void {
  stream.sendAnswer(answer);
  if (body.length > 0) stream.sendBody(body);
  stream.sendEnd([]);
}

const EMPTY = Buffer.alloc(0);

/** Denials read as Envoy's and tell nothing else; a caller that is denied is not to learn of policies. */
function textOf({ code, denialId }: LocalCause): string {
  if (ERROR_TABLE[code].httpStatus === 403) return "RBAC: access denied";
  return denialId === null ? ERROR_TABLE[code].meaning : "access denied";
}
