import { type Metadata, type ServerUnaryCall, type sendUnaryData, status } from "@grpc/grpc-js";
import type { IstioCertificateRequest__Output } from "../../api/generated/istio/v1/auth/IstioCertificateRequest.ts";
import type { IstioCertificateResponse } from "../../api/generated/istio/v1/auth/IstioCertificateResponse.ts";
import type { IstioCertificateServiceHandlers } from "../../api/generated/istio/v1/auth/IstioCertificateService.ts";
import { CardeaError, ERROR_TABLE, type ErrorCode, toCardeaError } from "../../core/errors.ts";
import type { Logger } from "../../core/ports.ts";
import type { SpiffeId } from "../../core/spiffe-id.ts";
import { type SigningRequest, parseSigningRequest } from "../../pki/csr.ts";
import { encodePem } from "../../pki/pem.ts";
import type { Attest, Attestation } from "./attest.ts";
import type { IssueSvid, IssuedSvid } from "./issue.ts";

/** Is told of each request, and of its end. */
export interface IssuanceObserver {
  requested(): void;
  issued(): void;
  refused(code: ErrorCode): void;
}

export interface CertificateServiceOptions {
  readonly attest: Attest;
  readonly issue: IssueSvid;
  /** The identity of the call's verified client certificate, or null. */
  callerOf(call: { readonly metadata: Metadata }): SpiffeId | null;
  readonly observer?: IssuanceObserver;
  readonly logger: Logger;
}

type CreateCertificateCall = ServerUnaryCall<IstioCertificateRequest__Output, IstioCertificateResponse>;

/** `istio.v1.auth.IstioCertificateService`: a signing request in, a chain out, leaf first and root last. */
export function createCertificateService(options: CertificateServiceOptions): IstioCertificateServiceHandlers {
  const { observer, logger } = options;
  return {
    CreateCertificate: (call: CreateCertificateCall, answer: sendUnaryData<IstioCertificateResponse>): void => {
      observer?.requested();
      createCertificate(call, options).then(
        (certChain) => {
          observer?.issued();
          answer(null, { certChain });
        },
        (thrown: unknown) => {
          const error = toCardeaError(thrown);
          observer?.refused(error.code);
          answer(refusal(error, logger));
        },
      );
    },
  };
}

async function createCertificate(call: CreateCertificateCall, options: CertificateServiceOptions): Promise<string[]> {
  const joinToken = readBearer(call.metadata);
  const caller = options.callerOf(call);
  // Before any signature is checked for a stranger.
  if (joinToken === null && caller === null)
    throw new CardeaError("attestation-failed", "neither a join token nor a certificate was shown");
  // Before the token is spent: a malformed request must not cost it.
  const request = parseSigningRequest(call.request.csr);
  const attestation = await options.attest({ joinToken, caller, publicKey: request.publicKey });
  const ttlSec = call.request.validityDuration;
  const { publicKey } = request;
  const issued = await options.issue({ spiffeId: attestation.spiffeId, publicKey, ttlSec });
  logIssued(options.logger, { request, attestation, issued });
  const [leaf, ...issuers] = issued.chainDer;
  return [encodePem("CERTIFICATE", leaf!), ...issuers.map(pemOfIssuer)];
}

const issuerPems = new WeakMap<Buffer, string>();

/** The same few for all. */
function pemOfIssuer(der: Buffer): string {
  const pem = issuerPems.get(der) ?? encodePem("CERTIFICATE", der);
  issuerPems.set(der, pem);
  return pem;
}

function readBearer(metadata: Metadata): string | null {
  const values = metadata.get("authorization");
  if (values.length === 0) return null;
  const match = values.length === 1 ? /^Bearer ([!-~]+)$/i.exec(String(values[0])) : null;
  if (match === null)
    throw new CardeaError("attestation-failed", "the metadata's authorization is not one Bearer token");
  return match[1]!;
}

interface Issuance {
  readonly request: SigningRequest;
  readonly attestation: Attestation;
  readonly issued: IssuedSvid;
}

function logIssued(logger: Logger, { request, attestation, issued }: Issuance): void {
  const { spiffeId, method } = attestation;
  // Our own sidecars ask for what they are; whoever asks for more is worth a line.
  const foreign = request.uris.filter((uri) => uri !== spiffeId).length + request.otherNames;
  if (foreign > 0) logger.log("warn", "csr-sans-ignored", { spiffeId, count: foreign });
  const notAfter = new Date(issued.notAfterMs).toISOString();
  logger.log("info", "svid-issued", { spiffeId, serial: issued.serial, notAfter, attestation: method });
}

/** What the caller learns. A fault of ours is logged in full and told as no more than that. */
function refusal(error: CardeaError, logger: Logger): { readonly code: status; readonly details: string } {
  const { grpcStatus, logLevel } = ERROR_TABLE[error.code];
  const isCallers = error.code === "attestation-failed" || error.code === "csr-invalid";
  logger.log(logLevel, "svid-refused", { code: error.code, message: error.message });
  if (isCallers) return { code: grpcStatus, details: error.message };
  return { code: status.UNAVAILABLE, details: "the authority cannot issue now; its log says why" };
}
