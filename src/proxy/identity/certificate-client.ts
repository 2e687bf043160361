import { Client, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import type { IstioCertificateResponse__Output } from "../../api/generated/istio/v1/auth/IstioCertificateResponse.ts";
import { loadMeshApi } from "../../api/load.ts";
import { CardeaError, type ErrorCode } from "../../core/errors.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Address } from "../../core/ports.ts";
import {
  CONTROL_CHANNEL_OPTIONS,
  type ControlChannelOptions,
  controlChannelCredentials,
  controlTarget,
} from "./control-channel.ts";
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

export interface CertificateClientOptions extends Omit<ControlChannelOptions, "identity"> {
  readonly control: Address;
  /** Read at each attempt that has no certificate to show, so that a new token takes effect at once. */
  readJoinToken(): Promise<string | null>;
}

/**
 * `istio.v1.auth.IstioCertificateService/CreateCertificate`, each call on a connection of its own: there are two an
 * hour, and the certificate that it shows is another one each time.
 */
export function createCertificateClient(options: CertificateClientOptions): RequestCertificate {
  return async (request, signal) => {
    const metadata = new Metadata();
    if (request.identity === null) metadata.set("authorization", `Bearer ${await readToken(options)}`);
    const credentials = controlChannelCredentials({ ...options, identity: request.identity });
    const client = new Client(controlTarget(options.control), credentials, CONTROL_CHANNEL_OPTIONS);
    try {
      return await call(client, request, {
        metadata,
        deadlineMs: options.clock.wallMs() + LIMITS.certificateCallMs,
        signal,
      });
    } finally {
      client.close();
    }
  };
}

async function readToken(options: CertificateClientOptions): Promise<string> {
  const token = (await options.readJoinToken())?.trim();
  if (token === undefined || token === "")
    throw new CardeaError("attestation-failed", "there is neither a certificate nor a join token to prove who we are");
  return token;
}

interface CallOptions {
  readonly metadata: Metadata;
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

function call(client: Client, request: CertificateRequest, options: CallOptions): Promise<readonly string[]> {
  const method = loadMeshApi().certificates.CreateCertificate;
  return new Promise((resolve, reject) => {
    if (options.signal.aborted) throw new CardeaError("unreachable", "the request was given up before it was sent");
    const onAnswer = (error: ServiceError | null, answer?: IstioCertificateResponse__Output): void => {
      options.signal.removeEventListener("abort", onAbort);
      if (error !== null) reject(translated(error));
      else resolve(answer?.certChain ?? []);
    };
    const sent = client.makeUnaryRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      { csr: request.csrPem, validityDuration: request.ttlSec },
      options.metadata,
      { deadline: options.deadlineMs },
      onAnswer,
    );
    const onAbort = (): void => sent.cancel();
    options.signal.addEventListener("abort", onAbort, { once: true });
  });
}

const CODES: ReadonlyMap<status, ErrorCode> = new Map([
  [status.UNAUTHENTICATED, "attestation-failed"],
  [status.PERMISSION_DENIED, "attestation-failed"],
  [status.INVALID_ARGUMENT, "csr-invalid"],
]);

function translated(error: ServiceError): CardeaError {
  return new CardeaError(CODES.get(error.code) ?? "unreachable", `the authority: ${error.details}`, error);
}
