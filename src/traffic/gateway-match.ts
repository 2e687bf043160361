import {
  listOf,
  object,
  oneOf,
  optional,
  parsed,
  required,
  string,
  type ValueOf,
  withDefault,
} from "../core/schema.ts";
import { HEADER_NAME } from "../core/header-names.ts";
import type { HttpMatch, NamedMatch, StringMatch } from "./service-traffic.ts";
import { regexMatch } from "./string-match.ts";

/** A match and how specific it is: of two that match a request, the one with the greater rank holds. */
export interface RankedMatch {
  readonly match: HttpMatch;
  readonly rank: readonly number[];
}

const MATCH_TYPE = oneOf("Exact", "RegularExpression");
const NAME_AND_VALUE = { type: withDefault(MATCH_TYPE, "Exact"), value: required(string({ allowEmpty: true })) };

const HEADERS = listOf(parsed(object({ name: required(HEADER_NAME), ...NAME_AND_VALUE }), namedMatch));
const QUERY = listOf(parsed(object({ name: required(string()), ...NAME_AND_VALUE }), namedMatch));

const PATH = parsed(
  object({
    type: withDefault(oneOf("Exact", "PathPrefix", "RegularExpression"), "PathPrefix"),
    value: withDefault(string(), "/"),
  }),
  ({ type, value }): StringMatch | null => {
    if (type === "RegularExpression") return regexMatch(value);
    if (!value.startsWith("/") || /\/\/|\/\.{1,2}(\/|$)|[?#]|%2f/i.test(value))
      throw new Error(`expected a path that begins with / and is written plainly, found ${JSON.stringify(value)}`);
    if (type === "Exact") return { kind: "exact", text: value };
    const text = value.replace(/\/$/, "");
    return text === "" ? null : { kind: "segments", text };
  },
);

const METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"] as const;

/** One entry of an HTTPRoute's `matches`, ranked as the specification has it. */
export const HTTP_MATCH = parsed(
  object({
    path: optional(PATH),
    method: optional(oneOf(...METHODS)),
    headers: optional(HEADERS),
    queryParams: optional(QUERY),
  }),
  ({ path, method, headers, queryParams }): RankedMatch =>
    ranked({
      ...EVERYTHING,
      path,
      method: method === null ? null : { kind: "exact", text: method },
      headers: firstOfEach(headers ?? []),
      query: firstOfEach(queryParams ?? []),
    }),
);

const GRPC_METHOD = object({
  type: withDefault(MATCH_TYPE, "Exact"),
  service: optional(string()),
  method: optional(string()),
});

/** One entry of a GRPCRoute's `matches`. */
export const GRPC_MATCH = parsed(
  object({ method: optional(parsed(GRPC_METHOD, grpcPath)), headers: optional(HEADERS) }),
  ({ method, headers }): RankedMatch => ranked({ ...EVERYTHING, path: method, headers: firstOfEach(headers ?? []) }),
);

const EVERYTHING: HttpMatch = {
  path: null,
  ignorePathCase: false,
  method: null,
  authority: null,
  scheme: null,
  headers: [],
  withoutHeaders: [],
  query: [],
  port: null,
  sourceLabels: new Map(),
  sourceNamespace: null,
};

export const MATCHES_EVERYTHING: RankedMatch = ranked(EVERYTHING);

/** A gRPC method's path is `/service/method`. */
function grpcPath({ type, service, method }: ValueOf<typeof GRPC_METHOD>): StringMatch {
  if (service === null && method === null) throw new Error("needs `service`, `method`, or both");
  if (type === "RegularExpression") return regexMatch(`/(?:${service ?? "[^/]+"})/(?:${method ?? "[^/]+"})`);
  for (const [name, shape] of [
    [service, /^[\w.]+$/],
    [method, /^\w+$/],
  ] as const)
    if (name !== null && !shape.test(name)) throw new Error(`${JSON.stringify(name)} is no name of gRPC`);
  if (service === null) return regexMatch(`/[^/]+/${method!}`);
  return method === null ? { kind: "prefix", text: `/${service}/` } : { kind: "exact", text: `/${service}/${method}` };
}

function namedMatch(read: { readonly name: string; readonly type: string; readonly value: string }): NamedMatch {
  const value: StringMatch = read.type === "Exact" ? { kind: "exact", text: read.value } : regexMatch(read.value);
  return { name: read.name, value };
}

/** The specification: entries with a name that stood before are passed over. */
function firstOfEach(matches: readonly NamedMatch[]): readonly NamedMatch[] {
  return matches.filter(({ name }, index) => matches.findIndex((each) => each.name === name) === index);
}

/** Exact path, then longest prefix, then a method, then most headers, then most query parameters. */
function ranked(match: HttpMatch): RankedMatch {
  const { path, method, headers, query } = match;
  return { match, rank: [...pathRank(path), method === null ? 0 : 1, headers.length, query.length] };
}

/** Where the specification leaves regular expressions to the implementation, they come last, as in Istio. */
function pathRank(path: StringMatch | null): readonly number[] {
  if (path === null) return [2, 1];
  if (path.kind === "regex") return [1, path.pattern.length];
  return [path.kind === "exact" ? 3 : 2, path.text.length];
}
