import {
  ignored,
  listOf,
  mapOf,
  object,
  oneOf,
  optional,
  parsed,
  required,
  string,
  type ValueOf,
} from "../core/schema.ts";
import { NETWORKING_API_VERSIONS } from "./api-versions.ts";
import { EXPORT_TO, exportToOf, type ExportTo } from "./export-to.ts";
import { HOST, fullHost } from "./hosts.ts";
import { TRAFFIC_METADATA } from "./metadata.ts";
import { NO_LAYERS, type PolicyLayers, TRAFFIC_POLICY } from "./policy-layers.ts";

/** A DestinationRule as it was read. */
export interface DestinationRule {
  readonly kind: "DestinationRule";
  /** In full, or a wildcard. */
  readonly host: string;
  readonly layers: PolicyLayers;
  /** Whether it has a `trafficPolicy` at all: rules for one host lend each other theirs. */
  readonly hasPolicy: boolean;
  readonly subsets: readonly SubsetRule[];
  readonly exportTo: ExportTo;
  /** Labels of the clients, in the rule's own namespace, that it is for; null: all clients. */
  readonly clientLabels: ReadonlyMap<string, string> | null;
}

export interface SubsetRule {
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
  /** Null: the rule's own holds. */
  readonly layers: PolicyLayers | null;
}

const LABELS = mapOf(string({ allowEmpty: true }));

const SUBSET_NAME = parsed(string(), (name) => {
  if (name.length <= 63 && /^[a-zA-Z0-9]([-_.a-zA-Z0-9]*[a-zA-Z0-9])?$/.test(name)) return name;
  throw new Error(`expected a name (letters, digits, - _ and .), found ${JSON.stringify(name)}`);
});

const SUBSET = object({
  name: required(SUBSET_NAME),
  labels: optional(LABELS),
  trafficPolicy: optional(TRAFFIC_POLICY),
});

const SUBSETS = parsed(listOf(SUBSET), (subsets) => {
  const twice = subsets.find(({ name }, index) => subsets.findIndex((each) => each.name === name) !== index);
  if (twice !== undefined) throw new Error(`has two subsets ${twice.name}`);
  return subsets;
});

const CLIENT_LABELS = parsed(LABELS, (labels) => {
  if (labels.size === 0) throw new Error("has no labels; leave `workloadSelector` out to mean every client");
  return labels;
});

export const DESTINATION_RULE = object({
  apiVersion: required(oneOf(...NETWORKING_API_VERSIONS)),
  kind: required(oneOf("DestinationRule")),
  metadata: required(TRAFFIC_METADATA),
  spec: required(
    object({
      host: required(HOST),
      trafficPolicy: optional(TRAFFIC_POLICY),
      subsets: optional(SUBSETS),
      exportTo: optional(EXPORT_TO),
      workloadSelector: optional(object({ matchLabels: required(CLIENT_LABELS) })),
    }),
  ),
  status: ignored(),
});

export function toDestinationRule({ spec }: ValueOf<typeof DESTINATION_RULE>, namespace: string): DestinationRule {
  return {
    kind: "DestinationRule",
    host: fullHost(spec.host, namespace),
    layers: spec.trafficPolicy ?? NO_LAYERS,
    hasPolicy: spec.trafficPolicy !== null,
    subsets: (spec.subsets ?? []).map(({ name, labels, trafficPolicy }) => ({
      name,
      labels: labels ?? new Map(),
      layers: trafficPolicy,
    })),
    exportTo: exportToOf(spec.exportTo, namespace),
    clientLabels: spec.workloadSelector?.matchLabels ?? null,
  };
}
