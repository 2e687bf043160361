import { cidrHolds, parseCidr, parseIp } from "../../src/core/cidr.ts";
import { isJsonList, isJsonObject, type JsonValue } from "../../src/core/json-value.ts";
import { trustDomainOf } from "../../src/core/spiffe-id.ts";
import { needsHttp } from "../../src/policy/attributes.ts";
import type { Claims } from "../../src/policy/claims.ts";
import type { Clause } from "../../src/policy/clause.ts";
import type { AuthorizationPolicy } from "../../src/policy/document.ts";
import type { Question } from "../../src/policy/facts.ts";
import { withAliases } from "../../src/policy/identity-matcher.ts";
import type { Rule } from "../../src/policy/rule.ts";
import { selectPolicies } from "../../src/policy/select.ts";

/**
 * Whether Istio would let it through: the matchers that pilot/pkg/security/authz generates, taken literally, under the
 * mesh's own defaultAction. What we do differently on purpose is not in here.
 */
export function istioAllows(documents: readonly AuthorizationPolicy[], question: Question): boolean {
  const enforced = documents.filter((policy) => !policy.isDryRun);
  const selected = selectPolicies(enforced, question.workload, question.settings.rootNamespace);
  const matchesAny = (action: string): boolean =>
    selected.some((policy) => policy.action === action && policy.rules.some((rule) => matches(rule, policy, question)));
  if (matchesAny("DENY")) return false;
  // getBadCustomDenyRules; of a server that can be asked we say what there is if it allows.
  const providers = [
    ...new Set(selected.filter((policy) => policy.action === "CUSTOM").map(({ provider }) => provider)),
  ];
  const isKnown = question.settings.extensionProviders.some(({ name }) => name === providers[0]);
  if ((providers.length > 1 || !isKnown) && matchesAny("CUSTOM")) return false;
  if (!selected.some((policy) => policy.action === "ALLOW")) return question.settings.defaultAction === "ALLOW";
  return matchesAny("ALLOW");
}

function matches(rule: Rule, policy: AuthorizationPolicy, question: Question): boolean {
  const isTcp = question.request === null;
  const sources = rule.from ?? [[]];
  const operations = rule.to ?? [[]];
  const all = [...sources.flat(), ...operations.flat(), ...rule.when];
  if (isTcp && policy.action === "ALLOW" && all.some((clause) => needsHttp(clause.attribute))) return false;
  const holds = (clause: Clause): boolean => {
    if (isTcp && needsHttp(clause.attribute)) return true;
    return clause.values.some((value) => fits(clause, value, policy, question)) !== clause.isNegated;
  };
  return (
    sources.some((each) => each.every(holds)) && operations.some((each) => each.every(holds)) && rule.when.every(holds)
  );
}

function fits(
  clause: Clause,
  value: string,
  policy: AuthorizationPolicy,
  { peer, request, settings }: Question,
): boolean {
  const id = peer.principal ?? "";
  switch (clause.attribute) {
    case "source.principal":
      return (
        id !== "" && withAliases(value, settings).some((each) => each === "*" || whole(each, "spiffe://").test(id))
      );
    case "source.namespace":
      return new RegExp(`^.*/ns/${value.split("*").map(quote).join(".*")}/.*$`).test(id);
    case "source.serviceAccount": {
      const [namespace, account] = value.includes("/") ? value.split("/") : [policy.namespace, value];
      return new RegExp(`^spiffe://.+/ns/${quote(namespace!)}/(.+/|)sa/${quote(account!)}(/.+)?$`).test(id);
    }
    case "source.trustDomain": {
      const local: string[] = [settings.trustDomain, ...settings.trustDomainAliases];
      const meant = local.includes(value) ? local : [value];
      if (peer.principal === null) return false;
      return meant.some(
        (each) => each === "*" || (id.slice(9).includes("/") && whole(each).test(trustDomainOf(peer.principal!))),
      );
    }
    case "source.ip":
      return cidrHolds(parseCidr(value), parseIp(peer.sourceIp));
    case "remote.ip":
      return cidrHolds(parseCidr(value), parseIp(peer.remoteIp));
    case "destination.ip":
      return cidrHolds(parseCidr(value), parseIp(peer.destinationIp));
    case "destination.port":
      return Number(value) === peer.destinationPort;
    case "connection.sni":
      return whole(value).test(peer.sni ?? "");
    case "request.method":
      return whole(value).test(request!.method);
    case "request.path":
      return value.includes("{") ? template(value).test(request!.path) : whole(value).test(request!.path);
    case "request.host":
      return whole(value.toLowerCase()).test(request!.host.toLowerCase());
    case "request.headers": {
      const header = clause.header === "host" ? request!.host || undefined : request!.header(clause.header ?? "");
      return header !== undefined && (value === "*" || whole(value).test(header));
    }
    case "request.auth.principal":
      return userFits(value, request!.claims);
    case "request.auth.audiences":
    case "request.auth.presenter":
    case "request.auth.claims":
      return claimFits(value, clause.claim ?? [], request!.claims);
  }
}

/** requestPrincipalGenerator: two matchers on the payload's `iss` and `sub`. */
function userFits(value: string, claims: Claims | null): boolean {
  const at = value.lastIndexOf("/");
  const [iss, sub] = at < 0 ? [value, ""] : [value.slice(0, at), value.slice(at + 1)];
  let issuer = whole(iss === "*" ? "*" : "");
  let subject = whole(sub);
  if (value === "*") [issuer, subject] = [whole("*"), whole("*")];
  else if (value.startsWith("*") && at < 0) [issuer, subject] = [whole("*"), whole(value)];
  else if (value.startsWith("*")) [issuer, subject] = [whole(iss), new RegExp(`^${quote(sub)}$`)];
  else if (value.endsWith("*") && at < 0) [issuer, subject] = [whole(value), whole("*")];
  else issuer = new RegExp(`^${quote(iss)}$`);
  const [claimedIssuer, claimedSubject] = [claims?.["iss"], claims?.["sub"]];
  if (typeof claimedIssuer !== "string" || typeof claimedSubject !== "string") return false;
  return issuer.test(claimedIssuer) && subject.test(claimedSubject);
}

/** MetadataListValueMatcher with useExtendedJwt: the value itself, or one of a list. */
function claimFits(value: string, path: readonly string[], claims: Claims | null): boolean {
  let found: JsonValue | undefined = claims ?? undefined;
  for (const step of path) found = isJsonObject(found) ? found[step] : undefined;
  const all: readonly (JsonValue | undefined)[] = isJsonList(found) ? found : [found];
  return all.some((each) => typeof each === "string" && whole(value).test(each));
}

function whole(pattern: string, before = ""): RegExp {
  if (pattern === "*") return /^[^]+$/;
  if (pattern.startsWith("*")) return new RegExp(`^${quote(before)}[^]*${quote(pattern.slice(1))}$`);
  if (pattern.endsWith("*")) return new RegExp(`^${quote(before + pattern.slice(0, -1))}[^]*$`);
  return new RegExp(`^${quote(before + pattern)}$`);
}

const LETTERS = "-a-zA-Z0-9._~%!$&'()+,;:@=";

function template(pattern: string): RegExp {
  const one = quote(pattern).replaceAll("\\{\\*\\*\\}", `[${LETTERS}/]*`);
  return new RegExp(`^${one.replaceAll("\\{\\*\\}", `[${LETTERS}]+`)}$`);
}

function quote(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}
