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
  "request.auth.principal",
] as const satisfies readonly Attribute[];

/** Keys that mean a claim; RFC 7519 section 4.1.3, OpenID Connect Core section 2. */
const CLAIM_KEYS = new Map<string, Pick<Clause, "attribute" | "claim">>([
  ["request.auth.audiences", { attribute: "request.auth.audiences", claim: ["aud"] }],
  ["request.auth.presenter", { attribute: "request.auth.presenter", claim: ["azp"] }],
]);
const CLAIMS = "request.auth.claims";
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

type Subject = Pick<Clause, "attribute" | "header" | "claim">;

function readKey(key: Placed<string>, scope: Scope): Subject | null {
  const attribute = KEYS.find((each) => each === key.value);
  if (attribute !== undefined) return { attribute, header: null, claim: null };
  const known = CLAIM_KEYS.get(key.value);
  if (known !== undefined) return { header: null, ...known };
  const claim = key.value.startsWith(CLAIMS) ? claimPath(key.value.slice(CLAIMS.length)) : null;
  if (claim !== null) return { attribute: "request.auth.claims", header: null, claim };
  const header = HEADER_KEY.exec(key.value)?.[1]?.toLowerCase();
  // HTTP/2's pseudo-headers, which Envoy has for HTTP/1.1 too.
  if (header === ":method") return { attribute: "request.method", header: null, claim: null };
  if (header === ":authority") return { attribute: "request.headers", header: "host", claim: null };
  if (header !== undefined && !header.startsWith(":")) return { attribute: "request.headers", header, claim: null };
  addFault({ ...scope, field: key.field }, key.at, whyNot(key.value));
  return null;
}

/**
 * `[a][b]` → a, then b in it. What is not made of such steps is one name with brackets in it, as Istio reads it
 * (extractNameInNestedBrackets); null: it is neither.
 */
function claimPath(brackets: string): readonly string[] | null {
  if (brackets.length < 3 || !brackets.startsWith("[") || !brackets.endsWith("]")) return null;
  if (/^(\[[^[\]]*\])+$/.test(brackets)) return brackets.slice(1, -1).split("][");
  return [brackets.slice(1, -1)];
}

function whyNot(key: string): string {
  if (key.startsWith(CLAIMS))
    return `expected ${CLAIMS}[NAME], or with [NAME] after [NAME], found ${JSON.stringify(key)}`;
  if (key.startsWith("experimental.envoy.filters.")) return `${key} is Envoy's own and not supported`;
  if (key.startsWith("request.headers[:"))
    return `${key} is not supported; methods, paths and hosts stand in to.operation`;
  if (key.startsWith("request.headers")) return `expected request.headers[NAME], found ${JSON.stringify(key)}`;
  const closest = closestWord(key, [...KEYS, ...CLAIM_KEYS.keys(), `${CLAIMS}[name]`, "request.headers[name]"]);
  return `unknown attribute ${JSON.stringify(key)}${closest === null ? "" : `; did you mean \`${closest}\`?`}`;
}
