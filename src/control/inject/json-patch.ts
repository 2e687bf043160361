import {
  isJsonList,
  isJsonObject,
  isSameJson,
  type JsonObject,
  type JsonValue,
  memberOf,
} from "../../core/json-value.ts";

/** The operations of RFC 6902 that injection needs. */
export type JsonPatchOperation =
  | { readonly op: "add" | "replace"; readonly path: string; readonly value: JsonValue }
  | { readonly op: "remove"; readonly path: string };

export type JsonPatch = readonly JsonPatchOperation[];

/**
 * The operations that make `after` of `before`, in the order in which they are to be applied; none when both are the same.
 * What did not change is not named, so that nothing of a pod is written anew for the sake of a neighbour.
 */
export function diffJson(before: JsonValue, after: JsonValue): JsonPatch {
  const patch: JsonPatchOperation[] = [];
  diff(before, after, "", patch);
  return patch;
}

/** A path's steps, unescaped (RFC 6901). */
export function pointerSteps(path: string): readonly string[] {
  return path
    .split("/")
    .slice(1)
    .map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
}

function diff(before: JsonValue, after: JsonValue, path: string, patch: JsonPatchOperation[]): void {
  if (isJsonObject(before) && isJsonObject(after)) diffObjects(before, after, path, patch);
  else if (isJsonList(before) && isJsonList(after)) diffLists(before, after, path, patch);
  else if (!isSameJson(before, after)) patch.push({ op: "replace", path, value: after });
}

function diffObjects(before: JsonObject, after: JsonObject, path: string, patch: JsonPatchOperation[]): void {
  for (const key of Object.keys(before)) {
    if (!Object.hasOwn(after, key)) patch.push({ op: "remove", path: `${path}/${escapeStep(key)}` });
  }
  for (const [key, value] of Object.entries(after)) {
    const at = `${path}/${escapeStep(key)}`;
    const old = memberOf(before, key);
    if (old === undefined) patch.push({ op: "add", path: at, value });
    else diff(old, value, at, patch);
  }
}

/**
 * Items with a name (containers, volumes, variables) are the same item under the same name; others are where they are.
 * Removals come first and from the end, so that the indices of what follows hold.
 */
function diffLists(
  before: readonly JsonValue[],
  after: readonly JsonValue[],
  path: string,
  patch: JsonPatchOperation[],
): void {
  const keyOf = keyOfItems(before, after);
  const wanted = new Set(after.map(keyOf));
  const kept = before.filter((item, index) => wanted.has(keyOf(item, index)));
  const keptKeys = before.map(keyOf).filter((key) => wanted.has(key));
  if (!isInOrder(keptKeys, after.map(keyOf))) {
    patch.push({ op: "replace", path, value: after });
    return;
  }
  for (const [index, item] of [...before.entries()].toReversed()) {
    if (!wanted.has(keyOf(item, index))) patch.push({ op: "remove", path: `${path}/${index}` });
  }
  let next = 0;
  for (const [index, item] of after.entries()) {
    const at = `${path}/${index}`;
    if (next < kept.length && keptKeys[next] === keyOf(item, index)) {
      diff(kept[next]!, item, at, patch);
      next += 1;
    } else patch.push({ op: "add", path: at, value: item });
  }
}

type KeyOf = (item: JsonValue, index: number) => string;

const byName: KeyOf = (item) => JSON.stringify(memberOf(item, "name") ?? null);
const byPlace: KeyOf = (_, index) => String(index);

/** Names only where each item on either side has one of its own. */
function keyOfItems(before: readonly JsonValue[], after: readonly JsonValue[]): KeyOf {
  const hasNames = [before, after].every((items) => {
    const names = items.map((item) => memberOf(item, "name"));
    return names.every((name) => typeof name === "string") && new Set(names).size === names.length;
  });
  return hasNames ? byName : byPlace;
}

function isInOrder(part: readonly string[], whole: readonly string[]): boolean {
  let found = 0;
  for (const key of whole) if (part[found] === key) found += 1;
  return found === part.length;
}

function escapeStep(step: string): string {
  return step.replaceAll("~", "~0").replaceAll("/", "~1");
}
