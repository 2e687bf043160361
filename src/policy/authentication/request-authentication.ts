import {
  ignored,
  listOf,
  object,
  oneOf,
  optional,
  parsed,
  refused,
  required,
  type ValueOf,
} from "../../core/schema.ts";
import { NO_TARGETS, SECURITY_API_VERSIONS, SELECTOR } from "../document-parts.ts";
import { JWT_RULE, type JwtRule } from "./jwt-rule.ts";
import { AUTHENTICATION_METADATA } from "./metadata.ts";

/** Which tokens of end users are known at the workloads that it selects. A request without any has no principal. */
export interface RequestAuthentication {
  readonly kind: "RequestAuthentication";
  readonly jwtRules: readonly JwtRule[];
  /** Whether a token that never expires is refused (`cardea.dev/require-expiration`, which is "true" unless told). */
  readonly isExpirationRequired: boolean;
}

/** Istio's own bound. */
const RULES_MAX = 4_096;

const RULES = parsed(listOf(JWT_RULE), (rules) => {
  if (rules.length > RULES_MAX) throw new Error(`may not have more than ${RULES_MAX} rules`);
  return rules;
});

/** security.istio.io/v1 RequestAuthentication. */
export const REQUEST_AUTHENTICATION = object({
  apiVersion: required(oneOf(...SECURITY_API_VERSIONS)),
  kind: required(oneOf("RequestAuthentication")),
  metadata: required(AUTHENTICATION_METADATA),
  spec: required(
    object({
      selector: optional(SELECTOR),
      targetRef: refused(NO_TARGETS),
      targetRefs: refused(NO_TARGETS),
      jwtRules: optional(RULES),
    }),
  ),
  status: ignored(),
});

export function toRequestAuthentication({
  spec,
  metadata,
}: ValueOf<typeof REQUEST_AUTHENTICATION>): RequestAuthentication {
  return {
    kind: "RequestAuthentication",
    jwtRules: spec.jwtRules ?? [],
    isExpirationRequired: metadata.annotations?.isExpirationRequired ?? true,
  };
}
