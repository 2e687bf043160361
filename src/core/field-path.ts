import type { Located, Position } from "./located.ts";

/**
 * Where a field stands in a document, by its path as faults have it (`spec.rules[0].to[1].operation.paths[2]`): the key of a
 * map's entry, or the item of a list. What is not there is looked for as far as the path leads.
 */
export function placeOfField(document: Located, field: string): Position | null {
  let [at, here] = [document.at, document];
  for (const step of stepsOf(field)) {
    const next = childOf(here, step);
    if (next === null) break;
    at = next.at ?? at;
    here = next.value;
  }
  return at;
}

type Step = string | number;

/** Names, `[0]`, and `["quoted names"]`. */
function stepsOf(field: string): readonly Step[] {
  return [...field.matchAll(/\[(\d+)\]|\["([^"]*)"\]|([^.[\]]+)/g)].map(([, index, quoted, name]) =>
    index === undefined ? (quoted ?? name ?? "") : Number(index),
  );
}

function childOf(here: Located, step: Step): { readonly at: Position | null; readonly value: Located } | null {
  if (here.kind === "list") {
    const item = typeof step === "number" ? here.items[step] : undefined;
    return item === undefined ? null : { at: item.at, value: item };
  }
  const entry = here.kind === "map" ? here.entries.find(({ key }) => key === step) : undefined;
  return entry === undefined ? null : { at: entry.keyAt, value: entry.value };
}
