import { addFault, mapOf, object, optional, type Schema, string } from "../core/schema.ts";

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
