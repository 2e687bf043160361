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
  string,
  type ValueOf,
  NOT_YET,
} from "../core/schema.ts";
import { NETWORKING_API_VERSIONS } from "./api-versions.ts";
import { DEFAULT_RETRY } from "./default-traffic.ts";
import { EXPORT_TO, exportToOf, type ExportTo } from "./export-to.ts";
import { ISTIO_HEADERS, istioChanges } from "./header-changes.ts";
import { DESTINATION_HOST, fullHost, HOST } from "./hosts.ts";
import { TRAFFIC_METADATA } from "./metadata.ts";
import { PORT_SELECTOR } from "./ports.ts";
import { RETRIES } from "./retries.ts";
import type { HttpRoute, RouteAction, WeightedDestination } from "./service-traffic.ts";
import { DURATION } from "../core/duration-schema.ts";
import { DIRECT_RESPONSE, REDIRECT, REWRITE } from "./virtual-actions.ts";
import { GATEWAYS, VIRTUAL_MATCH } from "./virtual-match.ts";

/** A VirtualService as it was read. */
export interface VirtualService {
  readonly kind: "VirtualService";
  /** In full, or wildcards. */
  readonly hosts: readonly string[];
  /** In the order in which they are tried. */
  readonly routes: readonly HttpRoute[];
  readonly exportTo: ExportTo;
}

const DESTINATION = object({
  destination: required(
    object({ host: required(DESTINATION_HOST), subset: optional(string()), port: optional(PORT_SELECTOR) }),
  ),
  weight: optional(integer({ min: 0, max: 2 ** 31 - 1 })),
  headers: optional(ISTIO_HEADERS),
});

const DESTINATIONS = parsed(listOf(DESTINATION, { minCount: 1 }), (destinations) => {
  const total = destinations.reduce((sum, { weight }) => sum + (weight ?? 0), 0);
  if (destinations.length > 1 && total === 0) throw new Error("has several destinations whose weights are all 0");
  return destinations;
});

const ENTRY = object({
  name: optional(string()),
  match: optional(listOf(VIRTUAL_MATCH, { minCount: 1 })),
  route: optional(DESTINATIONS),
  redirect: optional(REDIRECT),
  directResponse: optional(DIRECT_RESPONSE),
  rewrite: optional(REWRITE),
  timeout: optional(DURATION),
  retries: optional(RETRIES),
  headers: optional(ISTIO_HEADERS),
  fault: refused(NOT_YET),
  mirror: refused(NOT_YET),
  mirrors: refused(NOT_YET),
  mirrorPercent: refused(NOT_YET),
  mirrorPercentage: refused(NOT_YET),
  corsPolicy: refused(NOT_YET),
  delegate: refused(NOT_YET),
});

/** Istio's validateHTTPRouteConflict. */
const CHECKED_ENTRY = parsed(ENTRY, (entry) => {
  const { route, redirect, directResponse, rewrite, timeout, retries } = entry;
  if ([route, redirect, directResponse].filter((each) => each !== null).length !== 1)
    throw new Error("needs exactly one of route, redirect and directResponse");
  if (route === null && rewrite !== null) throw new Error("has a `rewrite` without a `route`");
  if (route === null && (timeout !== null || retries !== null))
    throw new Error("has a `timeout` or `retries` without a `route`");
  return entry;
});

export const VIRTUAL_SERVICE = object({
  apiVersion: required(oneOf(...NETWORKING_API_VERSIONS)),
  kind: required(oneOf("VirtualService")),
  metadata: required(TRAFFIC_METADATA),
  spec: required(
    object({
      hosts: required(listOf(HOST, { minCount: 1 })),
      gateways: optional(GATEWAYS),
      http: required(listOf(CHECKED_ENTRY, { minCount: 1 })),
      tls: refused(NOT_YET),
      tcp: refused(NOT_YET),
      exportTo: optional(EXPORT_TO),
    }),
  ),
  status: ignored(),
});

export function toVirtualService(read: ValueOf<typeof VIRTUAL_SERVICE>, namespace: string): VirtualService {
  const { metadata, spec } = read;
  const id = `${namespace}/${metadata.name}`;
  return {
    kind: "VirtualService",
    hosts: [...new Set(spec.hosts.map((host) => fullHost(host, namespace)))],
    routes: spec.http.map((entry) => toRoute(entry, id, namespace)),
    exportTo: exportToOf(spec.exportTo, namespace),
  };
}

function toRoute(entry: ValueOf<typeof ENTRY>, id: string, namespace: string): HttpRoute {
  return {
    name: entry.name === null ? id : `${id}/${entry.name}`,
    matches: entry.match ?? [],
    action: actionOf(entry, namespace),
    timeoutMs: entry.timeout ?? 0,
    retry: entry.retries ?? DEFAULT_RETRY,
    requestHeaders: istioChanges(entry.headers?.request ?? null),
    responseHeaders: istioChanges(entry.headers?.response ?? null),
  };
}

function actionOf(entry: ValueOf<typeof ENTRY>, namespace: string): RouteAction {
  if (entry.redirect !== null) return { kind: "redirect", redirect: entry.redirect };
  if (entry.directResponse !== null) return entry.directResponse;
  const written = entry.route ?? [];
  const destinations = written.map(
    (each): WeightedDestination => ({
      host: each.destination.host,
      namespace,
      port: each.destination.port?.number ?? null,
      subset: each.destination.subset,
      // Alone it gets everything, whatever its weight says.
      weight: written.length === 1 ? 100 : (each.weight ?? 0),
      requestHeaders: istioChanges(each.headers?.request ?? null),
      responseHeaders: istioChanges(each.headers?.response ?? null),
    }),
  );
  return { kind: "forward", destinations: destinations.filter(({ weight }) => weight > 0), rewrite: entry.rewrite };
}
