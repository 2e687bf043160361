import type { CardeaError } from "../core/errors.ts";
import type { TokenReason } from "../policy/decision.ts";
import type { AskedRequest, StepDenial } from "./admission-steps.ts";
import { isGrpcType } from "./grpc.ts";
import { joinedHeader } from "./headers.ts";
import { makeLocalAnswer } from "./local-answer.ts";

const REALM_LENGTH_MAX = 256;

/**
 * The refusal of a request for its token: 401 (403 for a token that is for others) with the challenge of RFC 6750 section 3
 * in Envoy's form. Why exactly stands in the record alone.
 */
export function unauthenticated(asked: AskedRequest, error: CardeaError, reason: TokenReason): StepDenial {
  const { head, headers } = asked;
  const isGrpc = isGrpcType(joinedHeader(headers, "content-type", headers.length) ?? "");
  // Without any token no error is told (RFC 6750 section 3.1): the caller may not have known.
  const problem = reason === "token-missing" ? "" : ', error="invalid_token"';
  const challenge = `Bearer realm="${realmOf(asked)}"${problem}`;
  return {
    decision: { allow: false, policy: null, rule: null, reason },
    error,
    answer: (denialId) => {
      const local = makeLocalAnswer({ code: error.code, denialId, method: head.method, isGrpc });
      const { answer } = local;
      return { ...local, answer: { ...answer, headers: [...answer.headers, "www-authenticate", challenge] } };
    },
  };
}

/** What was asked for, without its query, which may hold the token. As a quoted string, RFC 9110 section 5.6.4. */
function realmOf({ head, path }: AskedRequest): string {
  const whole = `http://${head.host ?? ""}${path}`.slice(0, REALM_LENGTH_MAX);
  return whole.replaceAll(/[^\x20-\x7e]/g, "?").replaceAll(/["\\]/g, "\\$&");
}
