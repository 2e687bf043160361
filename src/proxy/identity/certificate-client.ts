import { ISTIO_CERTIFICATE_REQUEST, ISTIO_CERTIFICATE_RESPONSE } from "../../api/messages.ts";
import { CREATE_CERTIFICATE } from "../../api/methods.ts";
import { CardeaError, type ErrorCode, toCardeaError } from "../../core/errors.ts";
import { LIMITS } from "../../core/limits.ts";
import { GRPC, type GrpcStatus } from "../../wire/grpc-status.ts";
import type { Headers } from "../../wire/headers.ts";
import {
  CONTROL_NAME,
  type ControlConnection,
  type ControlConnectionOptions,
  openControlConnection,
} from "../calls/control-connection.ts";
import { callUnary, type UnaryOutcome } from "../calls/unary-call.ts";
import type { Identity } from "./identity.ts";

export interface CertificateRequest {
  /** PKCS#10, PEM. */
  readonly csrPem: string;
  readonly ttlSec: number;
  /** What we hold and can prove now, or null. */
  readonly identity: Identity | null;
}

/**
 * Asks the authority once. The chain as it came, PEM, leaf first: not yet verified.
 * Errors: `attestation-failed`, `csr-invalid`, `unreachable`.
 */
export type RequestCertificate = (request: CertificateRequest, signal: AbortSignal) => Promise<readonly string[]>;

export interface CertificateClientOptions extends Omit<ControlConnectionOptions, "identity"> {
  /** Read at each attempt that has no certificate to show, so that a new token takes effect at once. */
  readJoinToken(): Promise<string | null>;
}

/**
 * `istio.v1.auth.IstioCertificateService/CreateCertificate`, each call on a connection of its own: there are two an
 * hour, and the certificate that it shows is another one each time.
 */
export function createCertificateClient(options: CertificateClientOptions): RequestCertificate {
  return async (request, signal) => {
    const metadata = request.identity === null ? ["authorization", `Bearer ${await readToken(options)}`] : [];
    const startedMs = options.clock.monotonicMs();
    const connection = await connect({ ...options, identity: request.identity }, signal);
    try {
      const leftMs = LIMITS.certificateCallMs - (options.clock.monotonicMs() - startedMs);
      return chainIn(await call(connection, { request, metadata, timeoutMs: leftMs, options }, signal));
    } finally {
      connection.close();
    }
  };
}

async function readToken(options: CertificateClientOptions): Promise<string> {
  const token = (await options.readJoinToken())?.trim();
  if (token === undefined || token === "")
    throw new CardeaError("attestation-failed", "there is neither a certificate nor a join token to prove who we are");
  return token;
}

async function connect(options: ControlConnectionOptions, signal: AbortSignal): Promise<ControlConnection> {
  try {
    return await openControlConnection(options, signal);
  } catch (thrown) {
    throw new CardeaError("unreachable", `the authority: ${toCardeaError(thrown).message}`, thrown);
  }
}

interface Call {
  readonly request: CertificateRequest;
  readonly metadata: Headers;
  readonly timeoutMs: number;
  readonly options: CertificateClientOptions;
}

function call({ channel }: ControlConnection, { request, metadata, timeoutMs, options }: Call, signal: AbortSignal) {
  const message = ISTIO_CERTIFICATE_REQUEST.serialize({ csr: request.csrPem, validityDuration: request.ttlSec });
  const about = { path: CREATE_CERTIFICATE, authority: CONTROL_NAME, metadata, timeoutMs, clock: options.clock };
  return callUnary(channel, message, about, signal);
}

function chainIn(outcome: UnaryOutcome): readonly string[] {
  if (outcome.at === "failed") throw translated(outcome.status);
  try {
    return ISTIO_CERTIFICATE_RESPONSE.deserialize(outcome.message).certChain;
  } catch (thrown) {
    throw new CardeaError("unreachable", `the authority: ${toCardeaError(thrown).message}`, thrown);
  }
}

const CODES: ReadonlyMap<number, ErrorCode> = new Map([
  [GRPC.UNAUTHENTICATED, "attestation-failed"],
  [GRPC.PERMISSION_DENIED, "attestation-failed"],
  [GRPC.INVALID_ARGUMENT, "csr-invalid"],
]);

function translated({ code, message }: GrpcStatus): CardeaError {
  return new CardeaError(CODES.get(code) ?? "unreachable", `the authority: ${message} (gRPC status ${code})`);
}
