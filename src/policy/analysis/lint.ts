import type { Fault } from "../../core/located.ts";
import { needsHttp } from "../attributes.ts";
import type { Clause } from "../clause.ts";
import { isMatchedWide } from "../clause-test.ts";
import { NAMESPACE_WHEN_ABSENT } from "../../core/object-metadata.ts";
import type { AuthorizationPolicy } from "../document.ts";
import type { Rule } from "../rule.ts";

/** What is valid, and means something else than it seems to: one warning each, shaped like a fault. */
export function lintPolicies(documents: readonly AuthorizationPolicy[]): readonly Fault[] {
  return documents.flatMap((policy) => [
    ...lintScope(policy),
    ...policy.rules.flatMap((rule) => [
      ...lintRule(rule, policy),
      ...clausesOf(rule).flatMap((c) => lintClause(c, policy)),
    ]),
  ]);
}

function lintScope(policy: AuthorizationPolicy): readonly Fault[] {
  const { metadata, spec } = shapeOf(policy.raw);
  const warnings: Fault[] = [];
  if (metadata["namespace"] === undefined) {
    const message = `is not given, so it is ${NAMESPACE_WHEN_ABSENT}: the policy selects nothing elsewhere`;
    warnings.push(warning(policy, policy.source.line, "metadata.namespace", message));
  }
  // Istio warns of it, too (validateWorkloadSelector).
  if (spec["selector"] !== undefined && policy.matchLabels.size === 0)
    warnings.push(warning(policy, policy.source.line, "spec.selector", "has no labels, so it selects every workload"));
  return warnings;
}

function shapeOf(raw: unknown): Record<"metadata" | "spec", Readonly<Record<string, unknown>>> {
  // The document was read by its schema, which demands both maps.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return raw as Record<"metadata" | "spec", Readonly<Record<string, unknown>>>;
}

/** Istio's own warning (ValidateAuthorizationPolicy), by its own condition. */
function lintRule(rule: Rule, policy: AuthorizationPolicy): readonly Fault[] {
  if (policy.action !== "DENY") return [];
  const operations = (rule.to ?? []).flat();
  const sources = (rule.from ?? []).flat();
  const asksPort = operations.some((clause) => clause.attribute === "destination.port");
  const isHttpOnly = operations.length > 0 && operations.every((clause) => needsHttp(clause.attribute));
  if (!isHttpOnly || asksPort) return [];
  const whom = sources.length === 0 ? "everybody" : "these sources";
  const message = `asks for HTTP attributes and no port: on TCP ports of its scope it denies ${whom} everything`;
  return [warning(policy, rule.source.line, `spec.rules[${rule.index}]`, message)];
}

function clausesOf(rule: Rule): readonly Clause[] {
  return [...(rule.from ?? []).flat(), ...(rule.to ?? []).flat(), ...rule.when];
}

function lintClause(clause: Clause, policy: AuthorizationPolicy): readonly Fault[] {
  return clause.values.flatMap((value, i) => {
    const message = lintValue(value, clause, policy);
    return message === null ? [] : [warning(policy, clause.line, `${clause.field}[${i}]`, message)];
  });
}

function lintValue(value: string, clause: Clause, policy: AuthorizationPolicy): string | null {
  const { attribute } = clause;
  // Namespaces are the one place where Istio takes a star anywhere.
  const inner = value.replace(/^\*/, "").replace(/\*$/, "");
  const isText = attribute !== "source.namespace" && !value.includes("{");
  if (isText && (inner.includes("*") || (value.startsWith("*") && inner !== "" && value.endsWith("*"))))
    return `${JSON.stringify(value)}: a * is a wildcard only at the very start or the very end; here it is a letter`;
  if (attribute === "request.path") return lintPath(value);
  if (attribute === "request.host") return lintHost(value, clause, policy);
  if (attribute === "source.principal") return lintPrincipal(value);
  const isMethod = attribute === "request.method" && /^[a-z]+$/.test(value);
  return isMethod
    ? `${JSON.stringify(value)} is not ${JSON.stringify(value.toUpperCase())}: methods are compared with case`
    : null;
}

function lintPath(value: string): string | null {
  if (/[?#]/.test(value)) return `${JSON.stringify(value)} never matches: a path is matched without its query`;
  if (!/^[/*]/.test(value)) return `${JSON.stringify(value)} never matches: a path begins with /`;
  return null;
}

/** Where a match takes access away, a spelling that does not match is a way around it. */
function lintHost(value: string, clause: Clause, policy: AuthorizationPolicy): string | null {
  if (!isMatchedWide(clause, policy) || value.endsWith("*") || value.includes(":")) return null;
  return `${JSON.stringify(value)} does not match the same host with a port: add ${JSON.stringify(`${value}:*`)}`;
}

function lintPrincipal(value: string): string | null {
  if (value.includes("*") || /^[^/]+\/ns\/[^/]+\/sa\/[^/]+$/.test(value)) return null;
  return `${JSON.stringify(value)} is no workload's identity: <trust domain>/ns/<namespace>/sa/<service account>`;
}

function warning(policy: AuthorizationPolicy, line: number | null, field: string, message: string): Fault {
  return { file: policy.source.file, line, column: line === null ? null : 1, field, message };
}
