import {
  addFault,
  listOf,
  mapOf,
  object,
  optional,
  parsed,
  required,
  type Schema,
  string,
  type ValueOf,
} from "../core/schema.ts";
import { NO_HEADER_CHANGES } from "./default-traffic.ts";
import { assertChangeable, HEADER_NAME } from "../core/header-names.ts";
import type { HeaderChanges } from "./service-traffic.ts";

const VALUE_LENGTH_MAX = 4_096;

/** RFC 9110 section 5.5, without octets above ASCII, which would be guessed at. */
const VALUE = parsed(string({ allowEmpty: true }), (text) => {
  if (text.length <= VALUE_LENGTH_MAX && /^[\t\x20-\x7e]*$/.test(text) && text.trim() === text) return text;
  throw new Error("expected a header's value: ASCII without control characters, no blanks at its ends");
});

/** Envoy would put facts of the request in the place of `%NAME%`. */
const ISTIO_VALUE = parsed(VALUE, (text) => {
  if (/%/.test(text.replaceAll("%%", "")))
    throw new Error("has a %…% of Envoy, which is not yet supported; a percent sign is written %%");
  return text.replaceAll("%%", "%");
});

const CHANGED_NAME = parsed(HEADER_NAME, (name) => {
  assertChangeable(name);
  return name;
});

type Pair = readonly [name: string, value: string];

/** Istio's map of names to values. */
const PAIRS: Schema<readonly Pair[]> = (value, scope) => {
  const values = mapOf(ISTIO_VALUE)(value, scope);
  if (values === undefined) return undefined;
  const pairs: Pair[] = [];
  for (const [name, text] of values) {
    const at = { ...scope, field: `${scope.field}[${JSON.stringify(name)}]` };
    const read = CHANGED_NAME({ kind: "scalar", at: value.at, value: name }, at);
    if (read === undefined) return undefined;
    if (pairs.some(([before]) => before === read)) return addFault(at, value.at, `${read} is given twice`);
    pairs.push([read, text]);
  }
  return pairs;
};

const ISTIO_OPERATIONS = object({ set: optional(PAIRS), add: optional(PAIRS), remove: optional(listOf(CHANGED_NAME)) });

/** VirtualService's `headers`. */
export const ISTIO_HEADERS = object({ request: optional(ISTIO_OPERATIONS), response: optional(ISTIO_OPERATIONS) });

export function istioChanges(operations: ValueOf<typeof ISTIO_OPERATIONS> | null): HeaderChanges {
  if (operations === null) return NO_HEADER_CHANGES;
  return { set: operations.set ?? [], add: operations.add ?? [], remove: operations.remove ?? [] };
}

const GATEWAY_PAIRS = listOf(
  parsed(object({ name: required(CHANGED_NAME), value: required(VALUE) }), ({ name, value }): Pair => [name, value]),
);

/** Gateway API's HTTPHeaderFilter. */
export const GATEWAY_HEADERS: Schema<HeaderChanges> = parsed(
  object({ set: optional(GATEWAY_PAIRS), add: optional(GATEWAY_PAIRS), remove: optional(listOf(CHANGED_NAME)) }),
  ({ set, add, remove }) => ({ set: set ?? [], add: add ?? [], remove: remove ?? [] }),
);
