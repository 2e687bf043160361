import { objectMetadata } from "../core/object-metadata.ts";
import { addFault, mapOf, type Schema, string } from "../core/schema.ts";

/** What a policy's annotations say to us. */
export interface PolicyAnnotations {
  /** `istio.io/dry-run`: the policy is evaluated and not enforced. */
  readonly isDryRun: boolean;
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
  const dryRun = value.entries.find((entry) => entry.key === "istio.io/dry-run");
  if (dryRun === undefined) return { isDryRun: false };
  const isDryRun = DRY_RUN(dryRun.value, { ...scope, field: `${scope.field}["istio.io/dry-run"]` });
  return isDryRun === undefined ? undefined : { isDryRun };
};

/** A policy's metadata. */
export const METADATA = objectMetadata(ANNOTATIONS);
