import { type JsonObject, type JsonValue, isJsonList, isJsonObject } from "../../src/core/json-value.ts";
import { injectPod } from "../../src/control/inject/inject-pod.ts";
import { nameOf } from "../../src/control/inject/names.ts";
import type { Injection, NamespaceFacts } from "../../src/control/inject/injection.ts";
import { DEFAULT_INJECT_SETTINGS, type InjectSettings } from "../../src/control/inject/settings.ts";

export const MESHED: NamespaceFacts = { name: "shop", labels: { "cardea.dev/inject": "enabled" }, annotations: {} };

/** A pod of one container in a meshed namespace. */
export function podOf(spec: object = {}, metadata: object = {}): JsonObject {
  const containers = [{ name: "web", image: "web:1", ports: [{ containerPort: 8080, name: "http" }] }];
  return JSON.parse(
    JSON.stringify({ metadata: { name: "web-1", ...metadata }, spec: { containers, ...spec } }),
  ) as JsonObject;
}

export function inject(pod: JsonValue, changes: Partial<InjectSettings> = {}, namespace = MESHED): Injection {
  return injectPod(pod, namespace, { ...DEFAULT_INJECT_SETTINGS, ...changes });
}

export type Injected = Extract<Injection, { kind: "inject" }>;

/** The injection, or an error that says why there was none. */
export function mustInject(pod: JsonValue, changes: Partial<InjectSettings> = {}, namespace = MESHED): Injected {
  const injection = inject(pod, changes, namespace);
  if (injection.kind === "inject") return injection;
  throw new Error(`${injection.kind}: ${injection.why}`);
}

/** A container of either list, by name. */
export function containerOf(pod: JsonValue, name: string): JsonObject {
  const { spec } = pod as { spec: Record<string, readonly JsonObject[]> };
  const found = [...(spec["initContainers"] ?? []), ...(spec["containers"] ?? [])].find(
    (each) => each["name"] === name,
  );
  if (found === undefined) throw new Error(`there is no container ${name}`);
  return found;
}

export function namesOf(pod: JsonValue, key: string): readonly string[] {
  const { spec } = pod as { spec: Record<string, readonly JsonObject[] | undefined> };
  return (spec[key] ?? []).map((each) => nameOf(each));
}

/** A variable's value in a container. */
export function variableOf(container: JsonObject, name: string): JsonValue | undefined {
  const env = container["env"] as readonly JsonObject[];
  return env.find((each) => each["name"] === name)?.["value"];
}

/** Lists, maps and nulls that say nothing are the same as nothing to the API server. */
export function withoutEmpty(value: JsonValue): JsonValue {
  if (isJsonList(value)) return value.map(withoutEmpty);
  if (!isJsonObject(value)) return value;
  const entries = Object.entries(value).map(([key, each]) => [key, withoutEmpty(each)] as const);
  return Object.fromEntries(entries.filter(([key, each]) => !(OPTIONAL.has(key) && isNothing(each))));
}

const OPTIONAL = new Set(["initContainers", "volumes", "annotations", "metadata"]);

function isNothing(value: JsonValue): boolean {
  return value === null || (typeof value === "object" && Object.keys(value).length === 0);
}
