import { isJsonList, isJsonObject, type JsonObject, type JsonValue, memberOf } from "../../core/json-value.ts";
import { CONTAINERS } from "../inject/names.ts";
import type { FieldPath } from "./bypass-finding.ts";

/** A container with the place where it stands. */
export interface PlacedContainer {
  readonly container: JsonObject;
  readonly name: string;
  readonly list: ContainerList;
  readonly path: FieldPath;
}

export type ContainerList = "initContainers" | "containers" | "ephemeralContainers";

const LISTS: readonly ContainerList[] = ["initContainers", "containers", "ephemeralContainers"];
const OURS: ReadonlySet<string> = new Set(Object.values(CONTAINERS));

/** All containers of a pod, ours included; what is no object is left out: the API server refuses it. */
export function containersOf(pod: JsonValue): readonly PlacedContainer[] {
  return LISTS.flatMap((list) => containersIn(pod, list));
}

export function containersIn(pod: JsonValue, list: ContainerList): readonly PlacedContainer[] {
  return itemsOf(memberOf(pod, "spec"), list).map(([container, index]) => {
    const name = memberOf(container, "name");
    return { container, name: typeof name === "string" ? name : "", list, path: ["spec", list, index] };
  });
}

/** Those that are not the mesh's. */
export function appContainersOf(pod: JsonValue): readonly PlacedContainer[] {
  return containersOf(pod).filter(({ name }) => !isOurs(name));
}

export function isOurs(containerName: string): boolean {
  return OURS.has(containerName);
}

/** The objects of a list, each with its index. */
export function itemsOf(parent: JsonValue | undefined, key: string): readonly (readonly [JsonObject, number])[] {
  const items = memberOf(parent, key);
  if (!isJsonList(items)) return [];
  return items.flatMap((item, index) => (isJsonObject(item) ? [[item, index] as const] : []));
}

/** The texts of a list, each with its index. */
export function textsOf(parent: JsonValue | undefined, key: string): readonly (readonly [string, number])[] {
  const items = memberOf(parent, key);
  if (!isJsonList(items)) return [];
  return items.flatMap((item, index) => (typeof item === "string" ? [[item, index] as const] : []));
}

/** The texts of a map. */
export function textMapOf(parent: JsonValue | undefined, key: string): Readonly<Record<string, string>> {
  const map = memberOf(parent, key);
  if (!isJsonObject(map)) return {};
  return Object.fromEntries(
    Object.entries(map).flatMap(([name, text]) => (typeof text === "string" ? [[name, text]] : [])),
  );
}

/** A value as it is shown to people: a text as it is, anything else as JSON, neither at length. */
export function wordOf(value: JsonValue | undefined): string {
  return (typeof value === "string" ? value : JSON.stringify(value ?? null)).slice(0, 200);
}
