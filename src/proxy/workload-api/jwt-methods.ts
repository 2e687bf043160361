import {
  EMPTY_REQUEST,
  JWT_BUNDLES_RESPONSE,
  JWT_SVID_REQUEST,
  JWT_SVID_RESPONSE,
  VALIDATE_JWT_SVID_REQUEST,
  VALIDATE_JWT_SVID_RESPONSE,
} from "../../api/workload-messages.ts";
import { CardeaError, ERROR_TABLE, toCardeaError } from "../../core/errors.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Clock } from "../../core/ports.ts";
import type { SpiffeId } from "../../core/spiffe-id.ts";
import { encodeJwk } from "../../pki/jwks.ts";
import { type JwtBundles, type JwtSvid, verifyJwtSvid } from "../../pki/jwt-svid.ts";
import { GRPC, type GrpcStatus } from "../../wire/grpc-status.ts";
import type { ServedMethod } from "../calls/served-calls.ts";
import type { JwtSource } from "./jwt-source.ts";
import { type Answer, NO_REQUEST, ONE_REQUEST, pushedAnswers } from "./pushed-answers.ts";
import { subscribeTo } from "./x509-methods.ts";

interface JwtSources {
  readonly spiffeId: SpiffeId;
  readonly jwt: JwtSource;
  readonly clock: Clock;
}

/** FetchJWTSVID: a token for the audiences that are asked for. SPIFFE Workload API section 6.2.1. */
export function fetchJwtSvid({ spiffeId, jwt }: JwtSources): ServedMethod {
  return unary(async (bytes) => {
    const request = JWT_SVID_REQUEST.deserialize(bytes);
    if (request.audience.length === 0 || request.audience.includes(""))
      throw new CardeaError("bad-request", "audience must be specified");
    if (request.spiffeId !== "" && request.spiffeId !== spiffeId)
      throw new CardeaError("denied-by-policy", `no identity issued: ${request.spiffeId} is not this workload's`);
    const svid = await jwt.fetchToken(request.audience);
    return JWT_SVID_RESPONSE.serialize({ svids: [{ spiffeId, svid }] });
  });
}

/** FetchJWTBundles: the keys that tokens are verified with. SPIFFE Workload API section 6.2.2. */
export function fetchJwtBundles({ jwt, clock }: JwtSources): ServedMethod {
  const answers = pushedAnswers({
    parse: (request) => EMPTY_REQUEST.deserialize(request),
    compose: () => composeBundles(jwt),
    subscribe: (onChange) => subscribeTo([jwt.bundles], onChange),
    clock,
  });
  return (call) => {
    jwt.want();
    return answers(call);
  };
}

/** ValidateJWTSVID: whose token it is, when it is good and for the caller. SPIFFE Workload API section 6.2.3. */
export function validateJwtSvid({ jwt, clock }: JwtSources): ServedMethod {
  return unary(async (bytes) => {
    const { audience, svid } = VALIDATE_JWT_SVID_REQUEST.deserialize(bytes);
    if (audience === "") throw new CardeaError("bad-request", "audience must be specified");
    if (svid === "") throw new CardeaError("bad-request", "svid must be specified");
    const { spiffeId, claims } = await verifyWithFreshKeys(svid, audience, { jwt, clock });
    return VALIDATE_JWT_SVID_RESPONSE.serialize({ spiffeId, claims });
  });
}

/** A token may be signed by a key that is newer than ours: then they are asked for once more, but not by every token. */
async function verifyWithFreshKeys(
  token: string,
  audience: string,
  { jwt, clock }: Pick<JwtSources, "jwt" | "clock">,
): Promise<JwtSvid> {
  jwt.want();
  const before = jwt.bundles.get();
  const verify = (bundles: JwtBundles): JwtSvid =>
    verifyJwtSvid(token, bundles, { audiences: [audience], nowMs: clock.wallMs(), skewMs: LIMITS.tokenSkewMs });
  if (before !== null) {
    try {
      return verify(before);
    } catch (thrown) {
      await jwt.refresh();
      if (jwt.bundles.get() === before) throw thrown;
    }
  } else await jwt.refresh();
  const now = jwt.bundles.get();
  if (now === null) throw jwt.failure.get() ?? new CardeaError("unreachable", "the keys have not come yet");
  return verify(now);
}

function composeBundles({ bundles, failure }: JwtSource): Answer {
  const all = bundles.get();
  if (all !== null) return { at: "message", message: JWT_BUNDLES_RESPONSE.serialize({ bundles: jwksById(all) }) };
  const why = failure.get()?.message ?? "they have not come yet";
  return { at: "nothing-yet", status: { code: GRPC.UNAVAILABLE, message: `no keys yet: ${why}` } };
}

/** JWK Sets as any JOSE library reads them. */
function jwksById(bundles: JwtBundles): ReadonlyMap<string, Buffer> {
  return new Map(
    [...bundles].map(([trustDomain, keys]) => {
      const jwks = { keys: keys.map(({ keyId, key }) => encodeJwk(keyId ?? "", key)) };
      return [`spiffe://${trustDomain}`, Buffer.from(JSON.stringify(jwks))];
    }),
  );
}

/** One request, and one answer or an error. */
function unary(answer: (request: Buffer) => Promise<Buffer>): ServedMethod {
  return (call) => {
    let request: Buffer | null = null;
    return {
      onMessage(message) {
        if (request === null) request = message;
        else call.end(ONE_REQUEST);
      },
      onRequestEnd() {
        if (request === null) return call.end(NO_REQUEST);
        answer(request).then(
          (message) => {
            call.send(message);
            call.end({ code: GRPC.OK, message: "" });
          },
          (thrown: unknown) => call.end(statusOf(toCardeaError(thrown))),
        );
      },
      onDrain() {},
      onOver() {},
    };
  };
}

/** SPIFFE Workload Endpoint section 6: who may not have an identity is denied, whose token is not good has sent a bad argument. */
function statusOf({ code, message }: CardeaError): GrpcStatus {
  if (code === "attestation-failed") return { code: GRPC.PERMISSION_DENIED, message: `no identity issued: ${message}` };
  if (code === "token-invalid") return { code: GRPC.INVALID_ARGUMENT, message };
  return { code: ERROR_TABLE[code].grpcStatus, message: code === "internal" ? ERROR_TABLE[code].meaning : message };
}
