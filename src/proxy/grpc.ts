import { ERROR_TABLE, type ErrorCode } from "../core/errors.ts";
import { type Headers, isName } from "../wire/headers.ts";
import type { RequestHead } from "../wire/http1-head.ts";

/** Beyond the last code that gRPC defines. grpc/grpc doc/statuscodes.md. */
export const GRPC_STATUS_COUNT = 17;
const UNKNOWN = 2;

/**
 * Whether a request is a gRPC call: `application/grpc`, with a message format behind `+` or none. gRPC-Web is not: it
 * carries its status in the body. grpc/grpc doc/PROTOCOL-HTTP2.md.
 */
export function isGrpcCall({ method, headers }: RequestHead): boolean {
  if (method !== "POST") return false;
  for (let i = 0; i < headers.length; i += 2) {
    if (isName(headers[i]!, "content-type")) return isGrpcType(headers[i + 1]!);
  }
  return false;
}

/** The status that an answer's trailers carry (its head, where the call ends with it), or null. */
export function grpcStatusIn(headers: Headers): number | null {
  for (let i = 0; i < headers.length; i += 2) {
    if (isName(headers[i]!, "grpc-status")) return parseStatus(headers[i + 1]!);
  }
  return null;
}

/** How a call ended, as its caller sees it: what was told, else what a failure means, else that nobody knows. */
export function grpcOutcome(told: number | null, failure: ErrorCode | null): number {
  return told ?? (failure === null ? UNKNOWN : ERROR_TABLE[failure].grpcStatus);
}

/** What ends a call of which messages have been passed on. grpc/grpc doc/PROTOCOL-HTTP2.md, Responses. */
export function grpcTrailersFor(code: ErrorCode): Headers {
  const { grpcStatus, httpStatus, meaning } = ERROR_TABLE[code];
  // As local-answer.ts: a caller that is denied is not to learn of policies.
  return ["grpc-status", `${grpcStatus}`, "grpc-message", httpStatus === 403 ? "RBAC: access denied" : meaning];
}

/** A status that gRPC does not define is unknown, as its clients have it; labels stay few. */
function parseStatus(text: string): number {
  const status = /^\d{1,2}$/.test(text) ? Number(text) : UNKNOWN;
  return status < GRPC_STATUS_COUNT ? status : UNKNOWN;
}

/** Whether a content-type is gRPC's. */
export function isGrpcType(value: string): boolean {
  if (value.length < GRPC_TYPE.length || value.slice(0, GRPC_TYPE.length).toLowerCase() !== GRPC_TYPE) return false;
  const next = value.charAt(GRPC_TYPE.length);
  return next === "" || next === "+" || next === ";" || next === " ";
}

const GRPC_TYPE = "application/grpc";
