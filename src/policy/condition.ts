import { closestWord } from "../core/closest-word.ts";
import type { Located } from "../core/located.ts";
import {
  addFault,
  object,
  optional,
  type Placed,
  placed,
  required,
  type Schema,
  type Scope,
  string,
} from "../core/schema.ts";
import type { Attribute } from "./attributes.ts";
import type { Clause, Clauses } from "./clause.ts";
import { valuesOf } from "./values.ts";

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

/** A `when` entry → one clause for its values and one for its notValues. */
export const CONDITION: Schema<Clauses> = (value, scope) => {
  const fields = FIELDS(value, scope);
  if (fields === undefined) return undefined;
  const { key, values, notValues } = fields;
  if (values === null && notValues === null) return addFault(scope, value.at, "needs `values` or `notValues`");
  const subject = readKey(key, scope);
  if (subject === null) return undefined;
  const schema = valuesOf(subject.attribute);
  const wanted = values === null ? [] : [{ isNegated: false, read: schema(values.value, inField(scope, values)) }];
  const unwanted =
    notValues === null ? [] : [{ isNegated: true, read: schema(notValues.value, inField(scope, notValues)) }];
  const clauses = [...wanted, ...unwanted].map(({ isNegated, read }) =>
    read === undefined ? undefined : { ...subject, isNegated, ...read },
  );
  return clauses.every((clause) => clause !== undefined) ? clauses : undefined;
};

/** What the values may be depends on the key, so they are read once that is known. */
const UNREAD: Schema<Located> = (value) => value;

const FIELDS = object({
  key: required(placed(string())),
  values: optional(placed(UNREAD)),
  notValues: optional(placed(UNREAD)),
});

function inField(scope: Scope, { field }: Placed<unknown>): Scope {
  return { ...scope, field };
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
