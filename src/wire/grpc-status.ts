/** The codes that a client makes up or tells apart. grpc/grpc doc/statuscodes.md. */
export const GRPC = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;

/** How a call ended: by the peer's word, or by what its client made of the lack of one. */
export interface GrpcStatus {
  /** 0 to 16. */
  readonly code: number;
  /** For people. */
  readonly message: string;
}

/** For an answer that carries no status of its own. grpc/grpc doc/http-grpc-status-mapping.md. */
export function grpcCodeOfHttp(httpStatus: number): number {
  switch (httpStatus) {
    case 400:
      return GRPC.INTERNAL;
    case 401:
      return GRPC.UNAUTHENTICATED;
    case 403:
      return GRPC.PERMISSION_DENIED;
    case 404:
      return GRPC.UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
      return GRPC.UNAVAILABLE;
    default:
      return GRPC.UNKNOWN;
  }
}

/** The value of `grpc-message`: percent-encoded UTF-8. What is not encoded as it should be is taken as it stands. */
export function decodeGrpcMessage(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

/** The reverse: printable ASCII but `%` stands for itself. grpc/grpc doc/PROTOCOL-HTTP2.md, Status-Message. */
export function encodeStatusMessage(text: string): string {
  return text.replace(/[^\x20-\x24\x26-\x7e]+/gu, (part) =>
    Array.from(Buffer.from(part, "utf8"), (octet) => `%${octet.toString(16).toUpperCase().padStart(2, "0")}`).join(""),
  );
}

/** The value of `grpc-timeout`: at most eight digits and a unit. Never less than a millisecond. */
export function formatGrpcTimeout(timeoutMs: number): string {
  const ms = Math.max(1, Math.ceil(timeoutMs));
  return ms < 1e8 ? `${ms}m` : `${Math.ceil(ms / 1_000)}S`;
}
