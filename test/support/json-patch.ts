import type { JsonObject, JsonValue } from "../../src/core/json-value.ts";

/** RFC 6902 as far as add, remove and replace go, as strict as the API server: a parent that is absent is an error. */
export function applyJsonPatch(document: JsonValue, patch: readonly { op: string; path: string; value?: JsonValue }[]) {
  return patch.reduce<JsonValue>((value, { op, path, value: put }) => {
    const steps = path
      .split("/")
      .slice(1)
      .map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
    return changed(value, steps, { op, put, path });
  }, document);
}

interface Change {
  readonly op: string;
  readonly put: JsonValue | undefined;
  readonly path: string;
}

function changed(value: JsonValue, steps: readonly string[], change: Change): JsonValue {
  const [step, ...rest] = steps;
  if (step === undefined) return needed(change);
  if (Array.isArray(value)) return changedList(value as readonly JsonValue[], step, rest, change);
  if (typeof value !== "object" || value === null) throw new Error(`${change.path} leads through a scalar`);
  return changedMap(value as JsonObject, step, rest, change);
}

function changedList(items: readonly JsonValue[], step: string, rest: readonly string[], change: Change): JsonValue {
  const index = step === "-" ? items.length : Number(step);
  const isInsertion = rest.length === 0 && change.op === "add";
  if (!/^(?:0|[1-9]\d*|-)$/.test(step) || index > items.length - (isInsertion ? 0 : 1))
    throw new Error(`${change.path}: there is no item ${step}`);
  if (isInsertion) return items.toSpliced(index, 0, needed(change));
  if (rest.length === 0 && change.op === "remove") return items.toSpliced(index, 1);
  return items.with(index, changed(items[index]!, rest, change));
}

function changedMap(map: JsonObject, step: string, rest: readonly string[], change: Change): JsonValue {
  if (rest.length === 0 && change.op === "add") return { ...map, [step]: needed(change) };
  if (!Object.hasOwn(map, step)) throw new Error(`${change.path}: there is no ${step}`);
  if (rest.length > 0 || change.op === "replace") return { ...map, [step]: changed(map[step]!, rest, change) };
  return Object.fromEntries(Object.entries(map).filter(([key]) => key !== step));
}

function needed({ put, path }: Change): JsonValue {
  if (put === undefined) throw new Error(`${path}: the value is missing`);
  return put;
}
