import type { Fault, Located } from "../core/located.ts";
import { NOT_YET } from "../core/not-yet.ts";
import { NAMESPACE_WHEN_ABSENT } from "../core/object-metadata.ts";
import {
  addFault,
  ignored,
  mapOf,
  object,
  oneOf,
  optional,
  plainOf,
  refused,
  required,
  type Schema,
  type Scope,
  string,
} from "../core/schema.ts";
import { METADATA } from "./metadata.ts";
import { type Rule, RULES, type SourcePlace } from "./rule.ts";

/** An AuthorizationPolicy as it was read: checked, in one form, and knowing where each part was written. */
export interface AuthorizationPolicy {
  readonly name: string;
  readonly namespace: string;
  /** `namespace/name`, as decisions name it. */
  readonly id: string;
  readonly action: "ALLOW" | "DENY";
  /** Labels that a workload must have; empty: every workload in the policy's reach. */
  readonly matchLabels: ReadonlyMap<string, string>;
  /** Without a rule the policy never matches: an ALLOW policy then allows nothing. */
  readonly rules: readonly Rule[];
  readonly source: SourcePlace;
  /** The document as plain JSON, fit to be sent and read again. */
  readonly raw: unknown;
}

/** The versions of security.istio.io that are read; they mean the same. */
export const SECURITY_API_VERSIONS = ["security.istio.io/v1", "security.istio.io/v1beta1"] as const;

/** A document → AuthorizationPolicy, or null with every fault added. */
export function parseAuthorizationPolicy(
  located: Located,
  source: { readonly file: string },
  faults: Fault[],
): AuthorizationPolicy | null {
  const scope: Scope = { file: source.file, field: "", faults };
  const document = DOCUMENT(located, scope);
  if (document === undefined) return null;
  const { spec, metadata } = document;
  const action = spec.action ?? "ALLOW";
  const rules = spec.rules ?? [];
  if (action === "DENY" && rules.length === 0) {
    const message = "a DENY policy without rules never matches; `rules: [{}]` denies everything";
    addFault(scope, located.at, message, "spec");
    return null;
  }
  const namespace = metadata.namespace ?? NAMESPACE_WHEN_ABSENT;
  return {
    name: metadata.name,
    namespace,
    id: `${namespace}/${metadata.name}`,
    action,
    matchLabels: spec.selector?.matchLabels ?? new Map(),
    rules,
    source: { file: source.file, line: located.at?.line ?? null },
    raw: plainOf(located),
  };
}

/** Istio refuses wildcards in labels, since they would look as if they worked. */
const MATCH_LABELS: Schema<ReadonlyMap<string, string>> = (value, scope) => {
  const labels = mapOf(string({ allowEmpty: true }))(value, scope);
  for (const [key, label] of labels ?? []) {
    if (key === "") addFault(scope, value.at, "a label's name must not be empty");
    if (key.includes("*") || label.includes("*"))
      addFault(scope, value.at, `wildcards have no meaning in a selector: ${key}=${label}`);
  }
  return labels;
};

const ACTION: Schema<"ALLOW" | "DENY"> = (value, scope) => {
  const action = oneOf("ALLOW", "DENY", "AUDIT", "CUSTOM")(value, scope);
  if (action === "AUDIT" || action === "CUSTOM") return addFault(scope, value.at, `${action} ${NOT_YET}`);
  return action;
};

const DOCUMENT = object({
  apiVersion: required(oneOf(...SECURITY_API_VERSIONS)),
  kind: required(oneOf("AuthorizationPolicy")),
  metadata: required(METADATA),
  spec: required(
    object({
      selector: optional(object({ matchLabels: optional(MATCH_LABELS) })),
      targetRef: refused(NOT_YET),
      targetRefs: refused(NOT_YET),
      action: optional(ACTION),
      provider: refused(`is for the action CUSTOM, which ${NOT_YET}`),
      rules: optional(RULES),
    }),
  ),
  status: ignored(),
});
