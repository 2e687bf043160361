import { NAMESPACE } from "../core/object-metadata.ts";
import {
  addFault,
  boolean,
  listOf,
  mapOf,
  object,
  optional,
  parsed,
  refused,
  type Schema,
  string,
  NOT_YET,
} from "../core/schema.ts";
import { HEADER_NAME } from "../core/header-names.ts";
import { PORT } from "./ports.ts";
import type { HttpMatch, NamedMatch } from "./service-traffic.ts";
import { HEADER_MATCH, STRING_MATCH } from "./string-match.ts";

/** Sidecars are the only ones here that routes are for. */
export const GATEWAYS = listOf(
  parsed(string(), (name) => {
    if (name !== "mesh")
      throw new Error(`${NOT_YET}: only \`mesh\`, which means the sidecars, is; found ${JSON.stringify(name)}`);
    return name;
  }),
  { minCount: 1 },
);

/** Istio passes these over in silence; the request line's parts have fields of their own. */
const NO_HEADERS = ["uri", "scheme", "method", "authority"];

const HEADERS: Schema<readonly NamedMatch[]> = (value, scope) => {
  const matches = mapOf(HEADER_MATCH)(value, scope);
  if (matches === undefined) return undefined;
  const named: NamedMatch[] = [];
  for (const [name, match] of matches) {
    const at = { ...scope, field: `${scope.field}[${JSON.stringify(name)}]` };
    if (name.startsWith("@request.auth")) return addFault(at, value.at, `matching claims of a token ${NOT_YET}`);
    if (NO_HEADERS.includes(name))
      return addFault(at, value.at, `is no header: use the field \`${name}\` of the match`);
    const read = HEADER_NAME({ kind: "scalar", at: value.at, value: name }, at);
    if (read === undefined) return undefined;
    named.push({ name: read, value: match });
  }
  return named;
};

const QUERY = parsed(mapOf(STRING_MATCH), (matches): readonly NamedMatch[] =>
  [...matches].map(([name, value]) => ({ name, value })),
);

const METHOD = parsed(STRING_MATCH, (match) => {
  if (match.kind !== "regex" && /[a-z]/.test(match.text) && match.text === match.text.toLowerCase())
    throw new Error(`methods are compared with case: write ${JSON.stringify(match.text.toUpperCase())}`);
  return match;
});

/** One entry of a VirtualService's `match`. */
export const VIRTUAL_MATCH = parsed(
  object({
    name: optional(string()),
    uri: optional(STRING_MATCH),
    ignoreUriCase: optional(boolean()),
    scheme: optional(STRING_MATCH),
    method: optional(METHOD),
    authority: optional(STRING_MATCH),
    headers: optional(HEADERS),
    withoutHeaders: optional(HEADERS),
    queryParams: optional(QUERY),
    port: optional(PORT),
    sourceLabels: optional(mapOf(string({ allowEmpty: true }))),
    sourceNamespace: optional(NAMESPACE),
    gateways: optional(GATEWAYS),
    statPrefix: refused(NOT_YET),
  }),
  (fields): HttpMatch => ({
    path: fields.uri,
    // Istio: a regular expression says itself whether case matters.
    ignorePathCase: fields.ignoreUriCase === true && fields.uri?.kind !== "regex",
    method: fields.method,
    authority: fields.authority,
    scheme: fields.scheme,
    headers: fields.headers ?? [],
    withoutHeaders: fields.withoutHeaders ?? [],
    query: fields.queryParams ?? [],
    port: fields.port,
    sourceLabels: fields.sourceLabels ?? new Map(),
    sourceNamespace: fields.sourceNamespace,
  }),
);

/** Whether every request of every client to every port matches. */
export function matchesAll(match: HttpMatch): boolean {
  const isAnyPath = match.path === null || (match.path.kind === "prefix" && ["", "/"].includes(match.path.text));
  const asks = [match.method, match.authority, match.scheme, match.port, match.sourceNamespace];
  const lists = [match.headers.length, match.withoutHeaders.length, match.query.length, match.sourceLabels.size];
  return isAnyPath && asks.every((each) => each === null) && lists.every((count) => count === 0);
}
