import type { Fault, Located } from "../core/located.ts";
import { NAMESPACE_WHEN_ABSENT } from "../core/object-metadata.ts";
import {
  addFault,
  ignored,
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
import type { GrantTerms } from "./document-parts.ts";
import { METADATA, NO_TARGETS, SECURITY_API_VERSIONS, SELECTOR } from "./document-parts.ts";
import { type Rule, RULES, type SourcePlace } from "./rule.ts";

/** An AuthorizationPolicy as it was read: checked, in one form, and knowing where each part was written. */
export interface AuthorizationPolicy {
  readonly name: string;
  readonly namespace: string;
  /** `namespace/name`, as decisions name it. */
  readonly id: string;
  /** AUDIT marks what it matches in the flow record and decides nothing. CUSTOM has a server outside asked first. */
  readonly action: PolicyAction;
  /** Of CUSTOM: which of the mesh's extension providers is asked. */
  readonly provider: string | null;
  /** Evaluated, and what would come of it recorded, but not enforced (`istio.io/dry-run`). Never on AUDIT and CUSTOM. */
  readonly isDryRun: boolean;
  /** What its annotations say of the grant that it is; null: nothing. */
  readonly terms: GrantTerms | null;
  /** Labels that a workload must have; empty: every workload in the policy's reach. */
  readonly matchLabels: ReadonlyMap<string, string>;
  /** Without a rule the policy never matches: an ALLOW policy then allows nothing. */
  readonly rules: readonly Rule[];
  readonly source: SourcePlace;
  /** The document as plain JSON, fit to be sent and read again. */
  readonly raw: unknown;
}

export type PolicyAction = "ALLOW" | "DENY" | "AUDIT" | "CUSTOM";

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
  if ((action === "DENY" || action === "CUSTOM") && rules.length === 0) {
    const every = action === "DENY" ? "denies everything" : "has the provider asked about everything";
    addFault(scope, located.at, `a ${action} policy without rules never matches; \`rules: [{}]\` ${every}`, "spec");
    return null;
  }
  if ((action === "CUSTOM") !== (spec.provider !== null)) {
    const message = action === "CUSTOM" ? "is required by the action CUSTOM" : `is for CUSTOM alone, not for ${action}`;
    addFault({ ...scope, field: "spec.provider" }, located.at, message);
    return null;
  }
  const isDryRun = metadata.annotations?.isDryRun ?? false;
  if ((action === "AUDIT" || action === "CUSTOM") && isDryRun) {
    const why =
      action === "AUDIT"
        ? "an AUDIT policy decides nothing, so a dry run of it would tell nothing"
        : "what a server outside would say is not known without asking it";
    const message = `is for ALLOW and DENY: ${why}`;
    addFault({ ...scope, field: 'metadata.annotations["istio.io/dry-run"]' }, located.at, message);
    return null;
  }
  const terms = metadata.annotations?.terms ?? null;
  // What breaks the glass has a beginning and an end, or it would not have been read.
  if (action !== "ALLOW" && terms !== null && (terms.fromMs !== null || terms.untilMs !== null)) {
    const message = `a policy that begins, ends or breaks the glass grants: its action is ALLOW, not ${action}. The end of a ${action} policy would let in whom nobody let in`;
    addFault({ ...scope, field: "metadata.annotations" }, located.at, message);
    return null;
  }
  const namespace = metadata.namespace ?? NAMESPACE_WHEN_ABSENT;
  return {
    name: metadata.name,
    namespace,
    id: `${namespace}/${metadata.name}`,
    action,
    provider: spec.provider?.name ?? null,
    isDryRun,
    terms,
    matchLabels: spec.selector?.matchLabels ?? new Map(),
    rules,
    source: { file: source.file, line: located.at?.line ?? null },
    raw: plainOf(located),
  };
}

const ACTION: Schema<PolicyAction> = oneOf("ALLOW", "DENY", "AUDIT", "CUSTOM");

const DOCUMENT = object({
  apiVersion: required(oneOf(...SECURITY_API_VERSIONS)),
  kind: required(oneOf("AuthorizationPolicy")),
  metadata: required(METADATA),
  spec: required(
    object({
      selector: optional(SELECTOR),
      targetRef: refused(NO_TARGETS),
      targetRefs: refused(NO_TARGETS),
      action: optional(ACTION),
      provider: optional(object({ name: required(string()) })),
      rules: optional(RULES),
    }),
  ),
  status: ignored(),
});
