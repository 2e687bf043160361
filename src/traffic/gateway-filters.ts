import {
  integer,
  listOf,
  object,
  oneOf,
  optional,
  parsed,
  refused,
  required,
  type Schema,
  type ValueOf,
  NOT_YET,
} from "../core/schema.ts";
import { NO_HEADER_CHANGES } from "./default-traffic.ts";
import { GATEWAY_HEADERS } from "./header-changes.ts";
import { PORT } from "./ports.ts";
import type { HeaderChanges, Redirect, Rewrite } from "./service-traffic.ts";
import { AUTHORITY, PATH } from "./targets.ts";

/** What the filters of a rule, or of one of its destinations, come to. */
export interface Filters {
  readonly requestHeaders: HeaderChanges;
  readonly responseHeaders: HeaderChanges;
  readonly redirect: Redirect | null;
  readonly rewrite: Rewrite | null;
}

export const NO_FILTERS: Filters = {
  requestHeaders: NO_HEADER_CHANGES,
  responseHeaders: NO_HEADER_CHANGES,
  redirect: null,
  rewrite: null,
};

const PATH_MODIFIER = parsed(
  object({
    type: required(oneOf("ReplaceFullPath", "ReplacePrefixMatch")),
    replaceFullPath: optional(PATH),
    replacePrefixMatch: optional(PATH),
  }),
  ({ type, replaceFullPath, replacePrefixMatch }): NonNullable<Rewrite["path"]> => {
    const [text, other] =
      type === "ReplaceFullPath" ? [replaceFullPath, replacePrefixMatch] : [replacePrefixMatch, replaceFullPath];
    if (text === null || other !== null) throw new Error(`needs the field of its type ${type}, and no other`);
    return { kind: type === "ReplaceFullPath" ? "full" : "prefix", text };
  },
);

const STATUS_CODE = parsed(integer({ min: 300, max: 399 }), (code) => {
  if (![301, 302, 303, 307, 308].includes(code)) throw new Error(`expected 301, 302, 303, 307 or 308, found ${code}`);
  return code;
});

const REDIRECT = parsed(
  object({
    scheme: optional(oneOf("http", "https")),
    hostname: optional(AUTHORITY),
    path: optional(PATH_MODIFIER),
    port: optional(PORT),
    statusCode: optional(STATUS_CODE),
  }),
  ({ scheme, hostname, path, port, statusCode }): Redirect => ({
    status: statusCode ?? 302,
    scheme,
    authority: hostname,
    port,
    path,
  }),
);

const REWRITE = parsed(
  object({ hostname: optional(AUTHORITY), path: optional(PATH_MODIFIER) }),
  ({ hostname, path }): Rewrite => ({ path, authority: hostname }),
);

const FILTER = object({
  type: required(
    oneOf(
      "RequestHeaderModifier",
      "ResponseHeaderModifier",
      "RequestRedirect",
      "URLRewrite",
      "RequestMirror",
      "CORS",
      "ExternalAuth",
      "ExtensionRef",
    ),
  ),
  requestHeaderModifier: optional(GATEWAY_HEADERS),
  responseHeaderModifier: optional(GATEWAY_HEADERS),
  requestRedirect: optional(REDIRECT),
  urlRewrite: optional(REWRITE),
  requestMirror: refused(NOT_YET),
  cors: refused(NOT_YET),
  externalAuth: refused(NOT_YET),
  extensionRef: refused(NOT_YET),
});

type Filter = ValueOf<typeof FILTER>;

const TAKEN = {
  RequestHeaderModifier: "requestHeaderModifier",
  ResponseHeaderModifier: "responseHeaderModifier",
  RequestRedirect: "requestRedirect",
  URLRewrite: "urlRewrite",
} as const satisfies Partial<Record<Filter["type"], keyof Filter>>;

const CHECKED_FILTER = parsed(FILTER, (filter) => {
  const { type } = filter;
  if (!isTaken(type)) throw new Error(`the filter ${type} ${NOT_YET}`);
  const given = Object.values(TAKEN).filter((name) => filter[name] !== null);
  if (given.length !== 1 || given[0] !== TAKEN[type])
    throw new Error(`needs the field ${TAKEN[type]} of its type ${type}, and no other`);
  return filter;
});

function isTaken(type: Filter["type"]): type is keyof typeof TAKEN {
  return Object.hasOwn(TAKEN, type);
}

/** The `filters` of a rule. */
export const FILTERS: Schema<Filters> = parsed(listOf(CHECKED_FILTER), (filters) => {
  const twice = filters.find(({ type }, index) => filters.findIndex((each) => each.type === type) !== index);
  if (twice !== undefined) throw new Error(`has two filters of type ${twice.type}`);
  const only = (name: (typeof TAKEN)[keyof typeof TAKEN]) => filters.find((each) => each[name] !== null);
  const redirect = only("requestRedirect")?.requestRedirect ?? null;
  const rewrite = only("urlRewrite")?.urlRewrite ?? null;
  if (redirect !== null && rewrite !== null) throw new Error("has both RequestRedirect and URLRewrite");
  return {
    requestHeaders: only("requestHeaderModifier")?.requestHeaderModifier ?? NO_HEADER_CHANGES,
    responseHeaders: only("responseHeaderModifier")?.responseHeaderModifier ?? NO_HEADER_CHANGES,
    redirect,
    rewrite,
  };
});

/** The `filters` of a destination: headers alone. */
export const DESTINATION_FILTERS: Schema<Filters> = parsed(FILTERS, (filters) => {
  if (filters.redirect !== null || filters.rewrite !== null)
    throw new Error("a destination's filters may change headers alone; redirect and rewrite stand in the rule's");
  return filters;
});
