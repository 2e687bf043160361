import { ignored, mapOf, object, optional, parsed, required, type Schema, string } from "./schema.ts";

/** In files there is no kubectl context to take the namespace from; this is what `kubectl apply` would take without one. */
export const NAMESPACE_WHEN_ABSENT = "default";

export const OBJECT_NAME = parsed(string(), (name) => {
  if (name.length <= 253 && /^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$/.test(name)) return name;
  throw new Error(`expected a Kubernetes name (a-z, 0-9, - and .), found ${JSON.stringify(name)}`);
});

export const NAMESPACE = parsed(string(), (name) => {
  if (name.length <= 63 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(name)) return name;
  throw new Error(`expected a namespace (a-z, 0-9 and -), found ${JSON.stringify(name)}`);
});

/** A document's metadata; what kubectl prints besides what a person writes concerns nobody here. */
export function objectMetadata<Annotations>(annotations: Schema<Annotations>) {
  return object({
    name: required(OBJECT_NAME),
    namespace: optional(NAMESPACE),
    labels: optional(mapOf(string({ allowEmpty: true }))),
    annotations: optional(annotations),
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
}
