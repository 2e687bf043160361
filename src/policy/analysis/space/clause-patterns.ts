import type { Clause } from "../../clause.ts";
import { type ClauseContext, isMatchedWide } from "../../clause-test.ts";
import { withAliases } from "../../identity-matcher.ts";
import { parsePathTemplate } from "../../path-template.ts";
import { any, type Language, type Letters, type Pattern, type Piece, some, text, textInAnyCase } from "./language.ts";

/** Identities are read from the last slash of `spiffe://` on: Istio's expressions for namespaces begin with one. */
const SLASH: Piece = text("/");

/**
 * The texts that a clause on a text matches, as identity-matcher.ts and matcher.ts read it. It serves to find examples of
 * all that clauses can tell apart; what an example comes to is asked of the clause itself.
 */
export function languageOf(clause: Clause, context: ClauseContext): Language {
  const { policy, settings } = context;
  const isWide = isMatchedWide(clause, policy);
  const inAnyDomain = isWide || context.namesTrustDomains;
  const domains = [settings.trustDomain, ...settings.trustDomainAliases];
  const each = (read: (value: string) => Language): Language => clause.values.flatMap(read);
  switch (clause.attribute) {
    case "source.principal":
      return each((value) => withAliases(value, settings).map((alias) => [SLASH, ...patternOf(alias)]));
    case "source.namespace":
      return each((value) =>
        inAnyDomain ? [namespaceAnywhere(value)] : domains.map((in_) => namespaceIn(in_, value)),
      );
    case "source.serviceAccount":
      return each((value) => {
        const name = value.includes("/") ? value : `${policy.namespace}/${value}`;
        return inAnyDomain ? accountAnywhere(name) : domains.map((domain) => accountIn(domain, name));
      });
    case "source.trustDomain":
      return each((value) => (domains.some((domain) => domain === value) ? domains : [value]).map(trustDomainPattern));
    case "request.path":
      return each((value) => [pathPattern(value, isWide)]);
    case "request.host":
      return each((value) => [patternOf(value.toLowerCase(), textInAnyCase)]);
    case "request.method":
    case "request.headers":
    case "request.auth.audiences":
    case "request.auth.presenter":
    case "request.auth.claims":
    case "connection.sni":
      return each((value) => [patternOf(value)]);
    // Two texts, see claim-dimension.ts.
    case "request.auth.principal":
    case "source.ip":
    case "remote.ip":
    case "destination.ip":
    case "destination.port":
      return [];
  }
}

/** `*`, `prefix*`, `*suffix` or a text. */
export function patternOf(value: string, read: typeof text = text): Pattern {
  if (value === "*") return [some("any")];
  if (value.startsWith("*")) return [any("any"), read(value.slice(1))];
  return value.endsWith("*") ? [read(value.slice(0, -1)), any("any")] : [read(value)];
}

function globOf(value: string, between: Letters): Pattern {
  return value.split("*").flatMap((part, i) => (i === 0 ? [text(part)] : [any(between), text(part)]));
}

function namespaceAnywhere(value: string): Pattern {
  return [any("any"), text("/ns/"), ...globOf(value, "any"), text("/"), any("any")];
}

function namespaceIn(domain: string, value: string): Pattern {
  return [text(`/${domain}/ns/`), ...globOf(value, "segment"), text("/sa/"), some("segment")];
}

function accountIn(domain: string, name: string): Pattern {
  const [namespace, account] = name.split("/");
  return [text(`/${domain}/ns/${namespace}/sa/${account}`)];
}

/** Istio's `.+/ns/<ns>/(.+/|)sa/<sa>(/.+)?`. */
function accountAnywhere(name: string): Language {
  const [namespace, account] = name.split("/");
  const before: Pattern = [SLASH, some("any"), text(`/ns/${namespace}/`)];
  const wide: Language = [
    [...before, text(`sa/${account}`)],
    [...before, some("any"), text(`/sa/${account}`)],
  ];
  return [...wide, ...wide.map((pattern) => [...pattern, text("/"), some("any")])];
}

function trustDomainPattern(value: string): Pattern {
  const path: Pattern = [text("/"), any("any")];
  if (value === "*") return [any("any")];
  if (value.startsWith("*")) return [SLASH, any("segment"), text(value.slice(1)), ...path];
  return value.endsWith("*")
    ? [SLASH, text(value.slice(0, -1)), any("segment"), ...path]
    : [SLASH, text(value), ...path];
}

/** What a template's wildcards take depends on whether the clause grants or takes away. */
function pathPattern(value: string, isWide: boolean): Pattern {
  if (!value.includes("{")) return patternOf(value);
  return parsePathTemplate(value).map((part) => {
    if (part.kind === "text") return text(part.text);
    return part.kind === "one" ? some(isWide ? "segment" : "literal") : any(isWide ? "any" : "literal-or-slash");
  });
}
