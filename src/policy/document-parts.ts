import { objectMetadata } from "../core/object-metadata.ts";
import { type GrantTerms, parseGrantTerms } from "./grant-terms.ts";
import { addFault, mapOf, object, optional, type Schema, string } from "../core/schema.ts";

/** The versions of security.istio.io that are read; they mean the same. */
export const SECURITY_API_VERSIONS = ["security.istio.io/v1", "security.istio.io/v1beta1"] as const;

/** What a policy's annotations say to us. */
export interface PolicyAnnotations {
  /** `istio.io/dry-run`: the policy is evaluated and not enforced. */
  readonly isDryRun: boolean;
  /** `cardea.dev/…`; null: there are none. */
  readonly terms: GrantTerms | null;
}

/** strconv.ParseBool, which is how Istio reads the annotation. */
const DRY_RUN: Schema<boolean> = (value, scope) => {
  const text = string()(value, scope);
  if (text === undefined || /^(0|f|F|false|FALSE|False)$/.test(text)) return false;
  if (/^(1|t|T|true|TRUE|True)$/.test(text)) return true;
  return addFault(scope, value.at, 'expected "true" or "false"');
};

const ANNOTATIONS: Schema<PolicyAnnotations> = (value, scope) => {
  mapOf(string({ allowEmpty: true }))(value, scope);
  if (value.kind !== "map") return undefined;
  const terms = parseGrantTerms(value.entries, scope);
  if (terms === undefined) return undefined;
  const dryRun = value.entries.find((entry) => entry.key === "istio.io/dry-run");
  if (dryRun === undefined) return { isDryRun: false, terms };
  const isDryRun = DRY_RUN(dryRun.value, { ...scope, field: `${scope.field}["istio.io/dry-run"]` });
  return isDryRun === undefined ? undefined : { isDryRun, terms };
};

/** A policy's metadata. */
export const METADATA = objectMetadata(ANNOTATIONS);

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

/** Which workloads a security document holds for: those with all of the labels. Without labels: every one in its reach. */
export const SELECTOR = object({ matchLabels: optional(MATCH_LABELS) });

/** Istio's sidecars pass a policy over that has one (ShouldAttachPolicy); half of its readers would think it holds. */
export const NO_TARGETS =
  "is for gateways and waypoints, and no sidecar heeds a policy that has it: select workloads by `selector`";
