import { addFault, ignored, mapOf, object, optional, parsed, required, type Schema, string } from "../core/schema.ts";
import { NOT_YET } from "./not-yet.ts";

const NAME = parsed(string(), (name) => {
  if (name.length <= 253 && /^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$/.test(name)) return name;
  throw new Error(`expected a Kubernetes name (a-z, 0-9, - and .), found ${JSON.stringify(name)}`);
});

const NAMESPACE = parsed(string(), (name) => {
  if (name.length <= 63 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(name)) return name;
  throw new Error(`expected a namespace (a-z, 0-9 and -), found ${JSON.stringify(name)}`);
});

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

/** A policy's metadata; what kubectl prints besides what a person writes concerns nobody here. */
export const METADATA = object({
  name: required(NAME),
  namespace: optional(NAMESPACE),
  labels: optional(mapOf(string({ allowEmpty: true }))),
  annotations: optional(ANNOTATIONS),
  creationTimestamp: ignored(),
  deletionGracePeriodSeconds: ignored(),
  deletionTimestamp: ignored(),
  finalizers: ignored(),
  generateName: ignored(),
  generation: ignored(),
  managedFields: ignored(),
  ownerReferences: ignored(),
  resourceVersion: ignored(),
  selfLink: ignored(),
  uid: ignored(),
});
