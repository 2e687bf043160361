import { closestWord } from "../core/closest-word.ts";
import { addFault, type Placed, type Scope } from "../core/schema.ts";
import type { Attribute } from "./attributes.ts";
import type { Clause } from "./document.ts";
import { readValues, type ValueList } from "./values.ts";

interface ConditionFields {
  readonly key: Placed<string>;
  readonly values: ValueList | null;
  readonly notValues: ValueList | null;
}

/** Attributes that may stand as the key of a condition as they are. */
const KEYS = [
  "source.ip",
  "remote.ip",
  "source.namespace",
  "source.serviceAccount",
  "source.trustDomain",
  "source.principal",
  "destination.ip",
  "destination.port",
  "connection.sni",
] as const satisfies readonly Attribute[];

const NOT_YET_KEYS = ["request.auth.principal", "request.auth.audiences", "request.auth.presenter"];
const HEADER_KEY = /^request\.headers\[([^[\]]+)\]$/;

/** A `when` entry → one clause for its values and one for its notValues, with a fault added for what it cannot be. */
export function readConditions(condition: Placed<ConditionFields>, scope: Scope): Clause[] {
  const { key, values, notValues } = condition.value;
  if (values === null && notValues === null)
    addFault({ ...scope, field: condition.field }, condition.at, "needs `values` or `notValues`");
  const subject = readKey(key, scope);
  if (subject === null) return [];
  const clauses: Clause[] = [];
  for (const [list, isNegated] of [
    [values, false],
    [notValues, true],
  ] as const) {
    if (list !== null) clauses.push({ ...subject, isNegated, ...readValues(subject.attribute, list, scope) });
  }
  return clauses;
}

function readKey(key: Placed<string>, scope: Scope): Pick<Clause, "attribute" | "header"> | null {
  const attribute = KEYS.find((each) => each === key.value);
  if (attribute !== undefined) return { attribute, header: null };
  const header = HEADER_KEY.exec(key.value)?.[1]?.toLowerCase();
  // HTTP/2's pseudo-headers, which Envoy has for HTTP/1.1 too.
  if (header === ":method") return { attribute: "request.method", header: null };
  if (header === ":authority") return { attribute: "request.headers", header: "host" };
  if (header !== undefined && !header.startsWith(":")) return { attribute: "request.headers", header };
  addFault({ ...scope, field: key.field }, key.at, whyNot(key.value));
  return null;
}

function whyNot(key: string): string {
  if (NOT_YET_KEYS.includes(key) || key.startsWith("request.auth.claims[")) return `${key} is not yet supported`;
  if (key.startsWith("experimental.envoy.filters.")) return `${key} is Envoy's own and not supported`;
  if (key.startsWith("request.headers[:"))
    return `${key} is not supported; methods, paths and hosts stand in to.operation`;
  if (key.startsWith("request.headers")) return `expected request.headers[NAME], found ${JSON.stringify(key)}`;
  const closest = closestWord(key, [...KEYS, ...NOT_YET_KEYS, "request.headers[name]"]);
  return `unknown attribute ${JSON.stringify(key)}${closest === null ? "" : `; did you mean \`${closest}\`?`}`;
}
