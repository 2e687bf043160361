import { type Metadata, type ServerUnaryCall, type sendUnaryData, status } from "@grpc/grpc-js";
import type { NewJWTSVIDRequest__Output } from "../../api/generated/spire/api/server/svid/v1/NewJWTSVIDRequest.ts";
import type { NewJWTSVIDResponse } from "../../api/generated/spire/api/server/svid/v1/NewJWTSVIDResponse.ts";
import type { SVIDHandlers } from "../../api/generated/spire/api/server/svid/v1/SVID.ts";
import { CardeaError, ERROR_TABLE, toCardeaError } from "../../core/errors.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Logger } from "../../core/ports.ts";
import { type SpiffeId, trustDomainOf } from "../../core/spiffe-id.ts";
import type { Attest } from "./attest.ts";
import type { IssueJwt } from "./jwt-issue.ts";

export interface JwtServiceOptions {
  readonly attest: Attest;
  readonly issue: IssueJwt;
  /** The identity of the call's verified client certificate, or null. */
  callerOf(call: { readonly metadata: Metadata }): SpiffeId | null;
  readonly logger: Logger;
}

type Call = ServerUnaryCall<NewJWTSVIDRequest__Output, NewJWTSVIDResponse>;

/** `spire.api.server.svid.v1.SVID/NewJWTSVID`: a token for the identity that the caller's certificate proves, no other. */
export function createJwtService(options: JwtServiceOptions): SVIDHandlers {
  return {
    NewJWTSVID: (call: Call, answer: sendUnaryData<NewJWTSVIDResponse>): void => {
      newJwtSvid(call, options).then(
        (response) => answer(null, response),
        (thrown: unknown) => answer(refusal(toCardeaError(thrown), options.logger)),
      );
    },
  };
}

async function newJwtSvid(call: Call, options: JwtServiceOptions): Promise<NewJWTSVIDResponse> {
  const caller = options.callerOf(call);
  if (caller === null) throw new CardeaError("attestation-failed", "no certificate was shown");
  // A workload that is gone gets no tokens, though its certificate is still good.
  const { spiffeId } = await options.attest({ joinToken: null, caller, publicKey: NO_KEY });
  const { entryId, audience } = call.request;
  if (entryId !== "" && entryId !== spiffeId)
    throw new CardeaError("denied-by-policy", `${spiffeId} may not have a token of another identity`);
  assertAudiences(audience);
  const { token, issuedAtSec, expiresAtSec } = await options.issue({ spiffeId, audiences: audience });
  const notAfter = new Date(expiresAtSec * 1_000).toISOString();
  options.logger.log("info", "jwt-svid-issued", { spiffeId, notAfter, count: audience.length });
  const trustDomain = trustDomainOf(spiffeId);
  const id = { trustDomain, path: spiffeId.slice(`spiffe://${trustDomain}`.length) };
  return { svid: { token, id, issuedAt: issuedAtSec, expiresAt: expiresAtSec } };
}

const NO_KEY = Buffer.alloc(0);

function assertAudiences(audiences: readonly string[]): void {
  if (audiences.length === 0 || audiences.includes("")) throw new CardeaError("bad-request", "an audience is missing");
  if (audiences.length > LIMITS.jwtAudiencesMax)
    throw new CardeaError("bad-request", `there are more than ${LIMITS.jwtAudiencesMax} audiences`);
  if (audiences.some((each) => each.length > LIMITS.jwtAudienceBytesMax))
    throw new CardeaError("bad-request", `an audience is longer than ${LIMITS.jwtAudienceBytesMax} characters`);
}

const CALLERS_FAULTS: ReadonlySet<string> = new Set(["attestation-failed", "denied-by-policy", "bad-request"]);

/** What the caller learns. A fault of ours is logged in full and told as no more than that. */
function refusal({ code, message }: CardeaError, logger: Logger): { readonly code: status; readonly details: string } {
  const { grpcStatus, logLevel } = ERROR_TABLE[code];
  logger.log(logLevel, "jwt-svid-refused", { code, message });
  if (CALLERS_FAULTS.has(code)) return { code: grpcStatus, details: message };
  return { code: status.UNAVAILABLE, details: "the authority cannot issue now; its log says why" };
}
