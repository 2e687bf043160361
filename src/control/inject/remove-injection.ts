import { type KeptProbe, POD_VARIABLES } from "../../config/pod-variables.ts";
import {
  isJsonList,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  memberOf,
  withoutKey,
} from "../../core/json-value.ts";
import { Refused } from "./injection.ts";
import {
  CONTAINERS,
  DEFAULT_CONTAINER_ANNOTATION,
  nameOf,
  SCRAPE_ANNOTATIONS,
  STATUS_ANNOTATION,
  VOLUMES,
} from "./names.ts";
import { giveBackProbes, type KeptProbes } from "./probes.ts";
import { takeWorkloadApi } from "./workload-api.ts";

/** What injection says of itself in the annotation cardea.dev/status. */
export interface InjectionStatus {
  readonly containers: readonly string[];
  readonly volumes: readonly string[];
  /** Whether the annotation for kubectl's default container is ours. */
  readonly defaultContainer: boolean;
  /** Whether the annotations for Prometheus are. */
  readonly scrape: boolean;
}

export function formatStatus(status: InjectionStatus): string {
  return JSON.stringify(status);
}

/** A pod's own parts, and what was found of ours. */
export interface Removed {
  readonly pod: JsonObject;
  /** Our containers as they were, by name: others may have set what we leave open (a LimitRange). */
  readonly containers: ReadonlyMap<string, JsonObject>;
}

/**
 * The pod as it was before injection; one that was not injected comes back as it is. A status that is not from us gains
 * nothing: what bears our names is taken out, and our own put in. Throws Refused where the original probes cannot be read.
 */
export function removeInjection(pod: JsonObject): Removed {
  const status = memberOf(memberOf(pod["metadata"], "annotations"), STATUS_ANNOTATION);
  const spec = pod["spec"];
  if (status === undefined || !isJsonObject(spec)) return { pod, containers: new Map() };
  const lists = ["initContainers", "containers"] as const;
  const all = lists.flatMap((key) => itemsOf(spec, key));
  const ours = new Map(all.flatMap((each) => (isOurs(each, CONTAINERS) ? [[nameOf(each), each] as const] : [])));
  const kept = readKeptProbes(ours.get(CONTAINERS.proxy));
  const cleaned = lists.reduce((left, key) => cleanContainers(left, key, kept), spec);
  const metadata = cleanMetadata(pod["metadata"], status);
  return { pod: { ...pod, metadata, spec: withoutOurs(cleaned, "volumes", VOLUMES) }, containers: ours };
}

function cleanContainers(spec: JsonObject, key: string, kept: KeptProbes): JsonObject {
  const left = withoutOurs(spec, key, CONTAINERS);
  const items = left[key];
  if (!isJsonList(items)) return left;
  const given = items.map((each) => (isJsonObject(each) ? takeWorkloadApi(giveBackProbes(each, kept)) : each));
  return { ...left, [key]: given };
}

type Names = Readonly<Record<string, string>>;

function withoutOurs(spec: JsonObject, key: string, names: Names): JsonObject {
  const items = spec[key];
  if (!isJsonList(items)) return spec;
  const left = items.filter((each) => !isOurs(each, names));
  if (left.length === items.length) return spec;
  return left.length === 0 && key !== "containers" ? withoutKey(spec, key) : { ...spec, [key]: left };
}

function cleanMetadata(metadata: JsonValue | undefined, status: JsonValue): JsonObject {
  if (!isJsonObject(metadata)) return {};
  const annotations = memberOf(metadata, "annotations");
  if (!isJsonObject(annotations)) return metadata;
  const left = withoutKey(annotations, STATUS_ANNOTATION);
  const ours = [
    ...(isSaid(status, "defaultContainer") ? [DEFAULT_CONTAINER_ANNOTATION] : []),
    ...(isSaid(status, "scrape") ? Object.keys(SCRAPE_ANNOTATIONS) : []),
  ];
  const own = ours.reduce(withoutKey, left);
  return Object.keys(own).length === 0 ? withoutKey(metadata, "annotations") : { ...metadata, annotations: own };
}

function isSaid(status: JsonValue, what: keyof InjectionStatus): boolean {
  return typeof status === "string" && memberOf(tryParse(status), what) === true;
}

function readKeptProbes(proxy: JsonObject | undefined): KeptProbes {
  const { name } = POD_VARIABLES.probes;
  const variable = itemsOf(proxy ?? {}, "env").find((each) => memberOf(each, "name") === name);
  const text = memberOf(variable, "value");
  if (typeof text !== "string") return {};
  const kept = tryParse(text);
  const entries = isJsonObject(kept) ? Object.entries(kept) : null;
  if (entries !== null && entries.every(([, each]) => isJsonObject(memberOf(each, "handler")))) {
    return Object.fromEntries(entries) as Readonly<Record<string, KeptProbe>>;
  }
  throw new Refused(
    `${name} of the container ${CONTAINERS.proxy} does not hold the original probes any longer`,
    "start from the manifest as it was before injection",
  );
}

function tryParse(text: string): JsonValue {
  try {
    return JSON.parse(text) as JsonValue;
  } catch {
    return null;
  }
}

function isOurs(item: JsonValue, names: Names): item is JsonObject {
  return isJsonObject(item) && Object.values(names).includes(nameOf(item));
}

function itemsOf(parent: JsonObject, key: string): readonly JsonValue[] {
  const items = parent[key];
  return isJsonList(items) ? items : [];
}
