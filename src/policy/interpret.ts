import { cidrHolds, parseCidr, parseIp } from "../core/cidr.ts";
import { trustDomainOf } from "../core/spiffe-id.ts";
import { needsHttp } from "./attributes.ts";
import { type Decision, defaultDecision, NO_ALLOW_RULE_MATCHED, ruleDecision } from "./decision.ts";
import { claimTexts } from "./claims.ts";
import type { AuthorizationPolicy } from "./document.ts";
import type { Rule } from "./rule.ts";
import type { PeerFacts, Question, RequestFacts } from "./facts.ts";
import { withAliases } from "./identity-matcher.ts";
import type { MeshSettings } from "./mesh-settings.ts";
import { clausesOf, type Literal, type Literals, normalRule } from "./normal-form.ts";
import type { Observation } from "./observation.ts";
import { policiesFor, selectPolicies } from "./select.ts";

/**
 * Decides slowly and straight from the documents, with the regular expressions that Istio would write. What the
 * compiled form must agree with; nothing is shared with it but selection, aliases and address ranges.
 */
export function interpret(documents: readonly AuthorizationPolicy[], question: Question): Decision {
  const { workload, settings } = question;
  const selected = policiesFor(documents, workload, settings);
  for (const action of ["DENY", "ALLOW"] as const) {
    for (const policy of selected.filter((each) => each.action === action)) {
      if (policy.isDryRun) continue;
      for (const rule of policy.rules) {
        if (ruleMatches(rule, policy, question)) return ruleDecision(action, policy, rule.index);
      }
    }
  }
  const isAnyAllow = selected.some((policy) => policy.action === "ALLOW" && !policy.isDryRun);
  return isAnyAllow ? NO_ALLOW_RULE_MATCHED : defaultDecision(settings.defaultAction);
}

/** What AUDIT policies mark, and what the decision would be had no policy been in a dry run. */
export function interpretUnenforced(documents: readonly AuthorizationPolicy[], question: Question): Observation | null {
  const selected = selectPolicies(documents, question.workload, question.settings.rootNamespace);
  const marks = selected
    .filter((policy) => policy.action === "AUDIT")
    .flatMap((policy) => policy.rules.map((rule) => ({ policy, rule })))
    .filter(({ policy, rule }) => ruleMatches(rule, policy, question));
  const asEnforced = documents.map((policy) => ({ ...policy, isDryRun: false }));
  const staged = interpret(asEnforced, question);
  const audit = marks[0] === undefined ? null : { policy: marks[0].policy.id, rule: marks[0].rule.index };
  const dryRun = staged.allow === interpret(documents, question).allow ? null : staged;
  return audit === null && dryRun === null ? null : { audit, dryRun };
}

/** Whether a rule matches: one source, one operation, and every condition. */
export function ruleMatches(rule: Rule, policy: AuthorizationPolicy, question: Question): boolean {
  const { sources, operations, conditions } = normalRule(policy, rule);
  const isTcp = question.request === null;
  if (isTcp && policy.action === "ALLOW" && clausesOf(rule).some((clause) => needsHttp(clause.attribute))) return false;
  const allHold = (literals: Literals) => literals.every((literal) => literalHolds(literal, question));
  return sources.some(allHold) && operations.some(allHold) && allHold(conditions);
}

function literalHolds(literal: Literal, question: Question): boolean {
  const { clause } = literal;
  // Of a DENY or AUDIT rule the HTTP clauses are dropped where there is no HTTP; ALLOW rules with one were left out before.
  if (question.request === null && needsHttp(clause.attribute)) return true;
  const isMatch = clause.values.some((value) => valueMatches(literal, value, question));
  return clause.isNegated ? !isMatch : isMatch;
}

function valueMatches(literal: Literal, value: string, question: Question): boolean {
  const { clause, policy, namesTrustDomains: domainsNamed } = literal;
  const { peer, request, settings } = question;
  const takesAway = (policy.action !== "ALLOW" && !clause.isNegated) || (policy.action === "ALLOW" && clause.isNegated);
  const id = peer.principal;
  switch (clause.attribute) {
    case "source.principal":
      return id !== null && withAliases(value, settings).some((each) => fits(id.replace("spiffe://", ""), each));
    case "source.namespace":
      return id !== null && namespaceRegExp(value, settings, takesAway || domainsNamed).test(id);
    case "source.serviceAccount":
      return id !== null && accountRegExp(value, policy, settings, takesAway || domainsNamed).test(id);
    case "source.trustDomain":
      return id !== null && inTrustDomain(id, value, settings);
    case "source.ip":
      return inRange(peer.sourceIp, value, takesAway);
    case "remote.ip":
      return inRange(peer.remoteIp, value, takesAway);
    case "destination.ip":
      return inRange(peer.destinationIp, value, takesAway);
    case "destination.port":
      return peer.destinationPort === Number(value);
    case "connection.sni":
      return fits(peer.sni ?? "", value);
    case "request.method":
      return fits(request?.method ?? "", value);
    case "request.path":
      return pathRegExp(value, takesAway).test(request?.path ?? "");
    case "request.host":
      return fits((request?.host ?? "").toLowerCase(), value.toLowerCase());
    case "request.headers":
      return headerFits(clause.header ?? "", value, request);
    case "request.auth.principal":
      return userFits(value, request);
    case "request.auth.audiences":
    case "request.auth.presenter":
    case "request.auth.claims":
      return claimTexts(request?.claims ?? null, clause.claim ?? []).some((text) => fits(text, value));
  }
}

/** Exact, prefix, suffix and presence as one regular expression. */
function patternRegExp(pattern: string): RegExp {
  if (pattern === "*") return /^[^]+$/;
  if (pattern.startsWith("*")) return new RegExp(`^[^]*${escaped(pattern.slice(1))}$`);
  if (pattern.endsWith("*")) return new RegExp(`^${escaped(pattern.slice(0, -1))}[^]*$`);
  return new RegExp(`^${escaped(pattern)}$`);
}

function fits(text: string, pattern: string): boolean {
  return patternRegExp(pattern).test(text);
}

function namespaceRegExp(pattern: string, settings: MeshSettings, isWide: boolean): RegExp {
  const glob = pattern.split("*").map(escaped);
  if (isWide) return new RegExp(`^.*/ns/${glob.join(".*")}/.*$`);
  return new RegExp(`^spiffe://(${localDomains(settings)})/ns/${glob.join("[^/]*")}/sa/[^/]+$`);
}

function accountRegExp(value: string, policy: AuthorizationPolicy, settings: MeshSettings, isWide: boolean): RegExp {
  const full = value.includes("/") ? value : `${policy.namespace}/${value}`;
  const [namespace, account] = full.split("/").map(escaped);
  if (isWide) return new RegExp(`^spiffe://.+/ns/${namespace}/(.+/|)sa/${account}(/.+)?$`);
  return new RegExp(`^spiffe://(${localDomains(settings)})/ns/${namespace}/sa/${account}$`);
}

function localDomains(settings: MeshSettings): string {
  return [settings.trustDomain, ...settings.trustDomainAliases].map((each) => escaped(each)).join("|");
}

function inTrustDomain(id: NonNullable<PeerFacts["principal"]>, value: string, settings: MeshSettings): boolean {
  if (value === "*") return true;
  if (!id.slice("spiffe://".length).includes("/")) return false;
  const local: string[] = [settings.trustDomain, ...settings.trustDomainAliases];
  const meant = local.includes(value) ? local : [value];
  return meant.some((each) => fits(trustDomainOf(id), each));
}

function inRange(ip: string, block: string, whenUnknown: boolean): boolean {
  const address = parseIp(ip);
  return address === null ? whenUnknown : cidrHolds(parseCidr(block), address);
}

function pathRegExp(pattern: string, isWide: boolean): RegExp {
  if (!pattern.includes("{")) return patternRegExp(pattern);
  const letters = isWide ? "[^/]" : "[-a-zA-Z0-9._~%!$&'()+,;:@=]";
  const source = pattern
    .split(/(\{\*\*?\})/)
    .map((piece) => {
      if (piece === "{*}") return `${letters}+`;
      return piece === "{**}" ? `(${letters}|/)*` : escaped(piece);
    })
    .join("");
  return new RegExp(`^${source}$`);
}

function headerFits(name: string, pattern: string, request: RequestFacts | null): boolean {
  const value = name === "host" ? request?.host || undefined : request?.header(name);
  return value !== undefined && (pattern === "*" || fits(value, pattern));
}

/** Istio's requestPrincipalGenerator, case by case. */
function userFits(value: string, request: RequestFacts | null): boolean {
  const iss = request?.claims?.["iss"];
  const sub = request?.claims?.["sub"];
  if (typeof iss !== "string" || typeof sub !== "string") return false;
  const parts = /^([^]*)\/([^/]*)$/.exec(value);
  if (parts !== null) return fits(iss, parts[1]!) && fits(sub, parts[2]!);
  if (value === "*") return iss !== "" && sub !== "";
  if (value.startsWith("*")) return iss !== "" && sub.endsWith(value.slice(1));
  if (value.endsWith("*")) return iss.startsWith(value.slice(0, -1)) && sub !== "";
  return iss === value && sub === "";
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
}
