import type { AuthenticationDocument } from "../../authentication/document.ts";
import { ofKind } from "../../authentication/document.ts";
import type { Clause } from "../../clause.ts";
import type { AuthorizationPolicy } from "../../document.ts";
import type { Rule } from "../../rule.ts";
import { selectPolicies } from "../../select.ts";
import type { CheckGround } from "./check-policies.ts";
import { findingAt, type PolicyFinding } from "./policy-finding.ts";

/** Rules that ask about end users where no RequestAuthentication makes any known: there every request is one without a token. */
export function checkTokens(about: readonly AuthorizationPolicy[], ground: CheckGround): readonly PolicyFinding[] {
  const { authentication } = ground;
  if (authentication === null) return [];
  const knowing = ofKind(authentication, "RequestAuthentication").filter(({ jwtRules }) => jwtRules.length > 0);
  return about.flatMap((policy) =>
    policy.rules.some((rule) => alternativesOf(rule).flat().some(asksForUser)) && !mayKnowUsers(policy, knowing, ground)
      ? policy.rules.flatMap((rule) => checkRule(rule, policy))
      : [],
  );
}

function checkRule(rule: Rule, policy: AuthorizationPolicy): readonly PolicyFinding[] {
  const alternatives = alternativesOf(rule);
  const wanted = alternatives.map((clauses) => clauses.find((clause) => asksForUser(clause) && !clause.isNegated));
  const [first] = wanted;
  if (first !== undefined && wanted.every((clause) => clause !== undefined))
    return [
      found(
        policy,
        first,
        policy.action === "DENY" ? `${NO_USERS}: it denies nothing` : `${NO_USERS}: it never matches`,
      ),
    ];
  if (policy.action !== "DENY") return [];
  // An excepted user is nobody here, so that nobody is excepted.
  const excepting = alternatives
    .filter((_, i) => wanted[i] === undefined)
    .flatMap((clauses) => clauses.filter((clause) => asksForUser(clause)));
  return excepting.map((clause) => found(policy, clause, `${NO_USERS}: nobody is excepted, and everybody denied`));
}

const NO_USERS = "asks for what a token says, and no RequestAuthentication is there for the workloads of the policy";

function found(policy: AuthorizationPolicy, { field, line }: Clause, message: string): PolicyFinding {
  return findingAt(policy, { code: "no-request-authentication", field, line }, message);
}

function alternativesOf({ from, when }: Rule): readonly (readonly Clause[])[] {
  return (from ?? [[]]).map((source) => [...source, ...when]);
}

function asksForUser({ attribute }: Clause): boolean {
  return attribute.startsWith("request.auth.");
}

/** Whether some workload may be one of the policy's, and of a document that knows tokens. */
function mayKnowUsers(
  policy: AuthorizationPolicy,
  knowing: readonly AuthenticationDocument[],
  { workloads, settings }: CheckGround,
): boolean {
  const { rootNamespace } = settings;
  if (workloads === null) return knowing.some((each) => mayMeet(policy, each, rootNamespace));
  const selected = workloads.filter((workload) => selectPolicies([policy], workload, rootNamespace).length > 0);
  // Of a policy that selects nothing something else is said.
  return selected.length === 0 || selected.some((each) => selectPolicies(knowing, each, rootNamespace).length > 0);
}

function mayMeet(policy: AuthorizationPolicy, other: AuthenticationDocument, rootNamespace: string): boolean {
  const isNear = [policy.namespace, other.namespace].includes(rootNamespace) || policy.namespace === other.namespace;
  return isNear && [...policy.matchLabels].every(([name, value]) => (other.matchLabels.get(name) ?? value) === value);
}
