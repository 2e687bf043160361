import { NOT_YET } from "../core/not-yet.ts";
import { objectMetadata } from "../core/object-metadata.ts";
import { addFault, mapOf, type Schema, string } from "../core/schema.ts";

/** strconv.ParseBool, which is how Istio reads the annotation. */
const DRY_RUN: Schema<null> = (value, scope) => {
  const text = string()(value, scope);
  if (text === undefined || /^(0|f|F|false|FALSE|False)$/.test(text)) return null;
  const isTrue = /^(1|t|T|true|TRUE|True)$/.test(text);
  return addFault(scope, value.at, isTrue ? `dry-run ${NOT_YET}` : 'expected "true" or "false"');
};

const ANNOTATIONS: Schema<null> = (value, scope) => {
  mapOf(string({ allowEmpty: true }))(value, scope);
  if (value.kind !== "map") return undefined;
  const dryRun = value.entries.find((entry) => entry.key === "istio.io/dry-run");
  if (dryRun !== undefined) DRY_RUN(dryRun.value, { ...scope, field: `${scope.field}["istio.io/dry-run"]` });
  return null;
};

/** A policy's metadata. */
export const METADATA = objectMetadata(ANNOTATIONS);
