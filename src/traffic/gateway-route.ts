import { LIMITS } from "../core/limits.ts";
import { NAMESPACE, OBJECT_NAME } from "../core/object-metadata.ts";
import {
  ignored,
  integer,
  listOf,
  object,
  oneOf,
  optional,
  parsed,
  refused,
  required,
  type Schema,
  string,
  type ValueOf,
  NOT_YET,
} from "../core/schema.ts";
import { GATEWAY_API_VERSIONS } from "./api-versions.ts";
import { DEFAULT_RETRY } from "./default-traffic.ts";
import { DESTINATION_FILTERS, FILTERS, NO_FILTERS } from "./gateway-filters.ts";
import { GRPC_MATCH, HTTP_MATCH, MATCHES_EVERYTHING, type RankedMatch } from "./gateway-match.ts";
import { serviceHost } from "./hosts.ts";
import { TRAFFIC_METADATA } from "./metadata.ts";
import { PORT } from "./ports.ts";
import type { HttpRoute, RetryPolicy, RouteAction, WeightedDestination } from "./service-traffic.ts";
import { GATEWAY_DURATION } from "../core/duration-schema.ts";

/** An HTTPRoute or GRPCRoute as it was read. */
export interface GatewayRoute {
  readonly kind: "HTTPRoute" | "GRPCRoute";
  readonly parents: readonly ParentService[];
  /** One for each match, in the order of the document. */
  readonly routes: readonly RankedRoute[];
}

/** A service whose requests a route is for. */
export interface ParentService {
  readonly host: string;
  readonly namespace: string;
  /** Null: all its ports. */
  readonly port: number | null;
}

export interface RankedRoute {
  readonly rank: readonly number[];
  readonly route: HttpRoute;
}

const PARENT = object({
  group: required(parsed(string({ allowEmpty: true }), assertCore)),
  kind: required(oneOf("Service", "Gateway", "ServiceEntry", "ListenerSet")),
  namespace: optional(NAMESPACE),
  name: required(OBJECT_NAME),
  port: optional(PORT),
  sectionName: refused(`${NOT_YET}: name the port by its number, in \`port\``),
});

const PARENTS = listOf(
  parsed(PARENT, (parent) => {
    if (parent.kind !== "Service") throw new Error(`a route of a ${parent.kind} ${NOT_YET}: kind must be Service`);
    return parent;
  }),
  { minCount: 1 },
);

const BACKEND = object({
  group: optional(parsed(string({ allowEmpty: true }), assertCore)),
  kind: optional(oneOf("Service")),
  namespace: refused(`${NOT_YET}: a Service of another namespace would need a ReferenceGrant, which is not read`),
  name: required(OBJECT_NAME),
  port: required(PORT),
  weight: optional(integer({ min: 0, max: 1_000_000 })),
  filters: optional(DESTINATION_FILTERS),
});

const STATUS_CODE = integer({ min: 400, max: 599 });

const RETRY = parsed(
  object({
    codes: optional(listOf(STATUS_CODE)),
    attempts: optional(integer({ min: 0, max: LIMITS.retryAttemptsMax })),
    backoff: optional(GATEWAY_DURATION),
  }),
  ({ codes, attempts, backoff }): RetryPolicy => ({
    ...DEFAULT_RETRY,
    attempts: attempts ?? DEFAULT_RETRY.attempts,
    retriableStatuses: new Set(codes ?? []),
    isExplicit: true,
    backoffMs: backoff ?? DEFAULT_RETRY.backoffMs,
  }),
);

const TIMEOUTS = parsed(
  object({ request: optional(GATEWAY_DURATION), backendRequest: optional(GATEWAY_DURATION) }),
  ({ request, backendRequest }) => {
    if (request !== null && request !== 0 && backendRequest !== null && backendRequest > request)
      throw new Error("backendRequest must not be longer than request, which it is a part of");
    return { request: request ?? 0, backendRequest: backendRequest ?? 0 };
  },
);

/** A rule; GRPCRoute takes the time-outs and retries of HTTPRoute as well, which its specification does not have yet. */
function ruleOf(match: Schema<RankedMatch>) {
  const rule = object({
    name: optional(string()),
    matches: optional(listOf(match)),
    filters: optional(FILTERS),
    backendRefs: optional(listOf(BACKEND)),
    timeouts: optional(TIMEOUTS),
    retry: optional(RETRY),
    sessionPersistence: refused(NOT_YET),
  });
  return parsed(rule, (read) => {
    const isRedirect = read.filters !== null && read.filters.redirect !== null;
    const hasBackends = read.backendRefs !== null && read.backendRefs.length > 0;
    if (isRedirect === hasBackends) throw new Error("needs `backendRefs` or a RequestRedirect, and not both");
    return read;
  });
}

function documentOf(kind: "HTTPRoute" | "GRPCRoute", match: Schema<RankedMatch>) {
  return object({
    apiVersion: required(oneOf(...GATEWAY_API_VERSIONS)),
    kind: required(oneOf(kind)),
    metadata: required(TRAFFIC_METADATA),
    spec: required(
      object({
        parentRefs: required(PARENTS),
        hostnames: refused("has no meaning for a Service: a request is for the Service that it names"),
        rules: required(listOf(ruleOf(match), { minCount: 1 })),
        useDefaultGateways: ignored(),
      }),
    ),
    status: ignored(),
  });
}

export const HTTP_ROUTE = documentOf("HTTPRoute", HTTP_MATCH);
export const GRPC_ROUTE = documentOf("GRPCRoute", GRPC_MATCH);

type Read = ValueOf<typeof HTTP_ROUTE>;
type Rule = Read["spec"]["rules"][number];

export function toGatewayRoute({ kind, metadata, spec }: Read, namespace: string): GatewayRoute {
  const id = `${namespace}/${metadata.name}`;
  const parents = spec.parentRefs.map((parent) => {
    const parentNamespace = parent.namespace ?? namespace;
    return { host: serviceHost(parent.name, parentNamespace), namespace: parentNamespace, port: parent.port };
  });
  return { kind, parents, routes: spec.rules.flatMap((rule) => toRoutes(rule, id, namespace)) };
}

function toRoutes(rule: Rule, id: string, namespace: string): readonly RankedRoute[] {
  const filters = rule.filters ?? NO_FILTERS;
  const matches = rule.matches === null || rule.matches.length === 0 ? [MATCHES_EVERYTHING] : rule.matches;
  const shared = {
    name: rule.name === null ? id : `${id}/${rule.name}`,
    action: actionOf(rule, namespace),
    timeoutMs: rule.timeouts?.request ?? 0,
    retry: { ...(rule.retry ?? DEFAULT_RETRY), perTryTimeoutMs: rule.timeouts?.backendRequest ?? 0 },
    requestHeaders: filters.requestHeaders,
    responseHeaders: filters.responseHeaders,
  };
  return matches.map(({ match, rank }) => ({ rank, route: { ...shared, matches: [match] } }));
}

function actionOf({ filters, backendRefs }: Rule, namespace: string): RouteAction {
  const { redirect, rewrite } = filters ?? NO_FILTERS;
  if (redirect !== null) return { kind: "redirect", redirect };
  const destinations = (backendRefs ?? []).map(
    (backend): WeightedDestination => ({
      host: serviceHost(backend.name, namespace),
      namespace,
      port: backend.port,
      subset: null,
      weight: backend.weight ?? 1,
      requestHeaders: (backend.filters ?? NO_FILTERS).requestHeaders,
      responseHeaders: (backend.filters ?? NO_FILTERS).responseHeaders,
    }),
  );
  const chosen = destinations.filter(({ weight }) => weight > 0);
  // The specification: what would go to nobody is answered with 500.
  return chosen.length === 0
    ? { kind: "respond", status: 500, body: null }
    : { kind: "forward", destinations: chosen, rewrite };
}

function assertCore(group: string): string {
  if (group !== "") throw new Error(`expected "", the group of a Service, found ${JSON.stringify(group)}`);
  return group;
}
