import { NAMESPACE_WHEN_ABSENT } from "../../../core/object-metadata.ts";
import { needsHttp } from "../../attributes.ts";
import type { Clause } from "../../clause.ts";
import { isMatchedWide } from "../../clause-test.ts";
import type { AuthorizationPolicy } from "../../document.ts";
import { clausesOf } from "../../normal-form.ts";
import type { Rule } from "../../rule.ts";
import type { FindingCode } from "./finding-table.ts";
import { findingAt, type PolicyFinding } from "./policy-finding.ts";

/** What can be said of a policy by looking at one field of it at a time. */
export function checkValues(policy: AuthorizationPolicy): readonly PolicyFinding[] {
  return [
    ...checkScope(policy),
    ...policy.rules.flatMap((rule) => [
      ...checkPorts(rule, policy),
      ...clausesOf(rule).flatMap((clause) => checkClause(clause, policy)),
    ]),
  ];
}

function checkScope(policy: AuthorizationPolicy): readonly PolicyFinding[] {
  const { metadata, spec } = shapeOf(policy.raw);
  const { line } = policy.source;
  const findings: PolicyFinding[] = [];
  if (metadata["namespace"] === undefined) {
    const message = `is not given, so it is ${NAMESPACE_WHEN_ABSENT}: the policy selects nothing elsewhere`;
    findings.push(findingAt(policy, { code: "no-namespace", field: "metadata.namespace", line }, message));
  }
  // Istio warns of it, too (validateWorkloadSelector).
  if (spec["selector"] !== undefined && policy.matchLabels.size === 0) {
    const message = "has no labels, so it selects every workload";
    findings.push(findingAt(policy, { code: "empty-selector", field: "spec.selector", line }, message));
  }
  return findings;
}

function shapeOf(raw: unknown): Record<"metadata" | "spec", Readonly<Record<string, unknown>>> {
  // The document was read by its schema, which demands both maps.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return raw as Record<"metadata" | "spec", Readonly<Record<string, unknown>>>;
}

/** Istio's own warning (ValidateAuthorizationPolicy), by its own condition. */
function checkPorts(rule: Rule, policy: AuthorizationPolicy): readonly PolicyFinding[] {
  if (policy.action !== "DENY") return [];
  const operations = (rule.to ?? []).flat();
  const sources = (rule.from ?? []).flat();
  const asksPort = operations.some((clause) => clause.attribute === "destination.port");
  const isHttpOnly = operations.length > 0 && operations.every((clause) => needsHttp(clause.attribute));
  if (!isHttpOnly || asksPort) return [];
  const whom = sources.length === 0 ? "everybody" : "these sources";
  const message = `asks for HTTP attributes and no port: on TCP ports of its scope it denies ${whom} everything`;
  const at = { code: "deny-on-any-port", field: `spec.rules[${rule.index}]`, line: rule.source.line } as const;
  return [findingAt(policy, at, message)];
}

function checkClause(clause: Clause, policy: AuthorizationPolicy): readonly PolicyFinding[] {
  return clause.values.flatMap((value, i) => {
    const found = checkValue(value, clause, policy);
    if (found === null) return [];
    return [findingAt(policy, { code: found.code, field: `${clause.field}[${i}]`, line: clause.line }, found.message)];
  });
}

type ValueFinding = { readonly code: FindingCode; readonly message: string } | null;

function checkValue(value: string, clause: Clause, policy: AuthorizationPolicy): ValueFinding {
  const { attribute } = clause;
  // Namespaces are the one place where Istio takes a star anywhere.
  const inner = value.replace(/^\*/, "").replace(/\*$/, "");
  const isText = attribute !== "source.namespace" && !value.includes("{");
  if (isText && (inner.includes("*") || (value.startsWith("*") && inner !== "" && value.endsWith("*")))) {
    const message = `${JSON.stringify(value)}: a * is a wildcard only at the very start or the very end; here it is a letter`;
    return { code: "wildcard-inside", message };
  }
  if (attribute === "request.path") return checkPath(value);
  if (attribute === "request.host") return checkHost(value, clause, policy);
  if (attribute === "source.principal") return checkPrincipal(value);
  const isMethod = attribute === "request.method" && /^[a-z]+$/.test(value);
  return isMethod
    ? never(`${JSON.stringify(value)} is not ${JSON.stringify(value.toUpperCase())}: methods are compared with case`)
    : null;
}

function checkPath(value: string): ValueFinding {
  if (/[?#]/.test(value)) return never(`${JSON.stringify(value)} never matches: a path is matched without its query`);
  return /^[/*]/.test(value) ? null : never(`${JSON.stringify(value)} never matches: a path begins with /`);
}

function never(message: string): ValueFinding {
  return { code: "value-never-matches", message };
}

/** Where a match takes access away, a spelling that does not match is a way around it. */
function checkHost(value: string, clause: Clause, policy: AuthorizationPolicy): ValueFinding {
  if (!isMatchedWide(clause, policy) || value.endsWith("*") || value.includes(":")) return null;
  const message = `${JSON.stringify(value)} does not match the same host with a port: add ${JSON.stringify(`${value}:*`)}`;
  return { code: "host-without-port", message };
}

function checkPrincipal(value: string): ValueFinding {
  if (value.includes("*") || /^[^/]+\/ns\/[^/]+\/sa\/[^/]+$/.test(value)) return null;
  const message = `${JSON.stringify(value)} is no workload's identity: <trust domain>/ns/<namespace>/sa/<service account>`;
  return { code: "no-workload-identity", message };
}
