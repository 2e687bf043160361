import { CardeaError, type ErrorCode, toCardeaError } from "../../core/errors.ts";
import { LIMITS } from "../../core/limits.ts";
import { GRPC, type GrpcStatus } from "../../wire/grpc-status.ts";
import type { Identity } from "../identity/identity.ts";
import { CONTROL_NAME, type ControlConnectionOptions, openControlConnection } from "./control-connection.ts";
import { callUnary } from "./unary-call.ts";

/** Makes one call to the control plane, proved for by the identity. Errors: `attestation-failed`, `unreachable`. */
export type CallControl = (path: string, message: Buffer, identity: Identity | null) => Promise<Buffer>;

/** Each call goes on a connection of its own, as those for certificates do: what it asks for is kept. */
export function createControlCalls(options: Omit<ControlConnectionOptions, "identity">): CallControl {
  return async (path, message, identity) => {
    const { signal } = new AbortController();
    const connection = await openControlConnection({ ...options, identity }, signal).catch((thrown: unknown) => {
      throw new CardeaError("unreachable", `the authority: ${toCardeaError(thrown).message}`, thrown);
    });
    try {
      const timeoutMs = LIMITS.certificateCallMs;
      const about = { path, authority: CONTROL_NAME, metadata: [], timeoutMs, clock: options.clock };
      const outcome = await callUnary(connection.channel, message, about, signal);
      if (outcome.at === "failed") throw translated(outcome.status);
      return outcome.message;
    } finally {
      connection.close();
    }
  };
}

const CODES: ReadonlyMap<number, ErrorCode> = new Map([
  [GRPC.UNAUTHENTICATED, "attestation-failed"],
  [GRPC.PERMISSION_DENIED, "attestation-failed"],
  [GRPC.INVALID_ARGUMENT, "bad-request"],
]);

function translated({ code, message }: GrpcStatus): CardeaError {
  return new CardeaError(CODES.get(code) ?? "unreachable", `the authority: ${message} (gRPC status ${code})`);
}
