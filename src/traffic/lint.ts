import type { Fault } from "../core/located.ts";
import type { DestinationRule } from "./destination-rule.ts";
import { type DocumentOf, isGatewayRoute, type TrafficDocument } from "./document.ts";
import { fullHost, isWildcard, suffixOf } from "./hosts.ts";
import type { HttpRoute } from "./service-traffic.ts";
import { matchesAll } from "./virtual-match.ts";
import type { VirtualService } from "./virtual-service.ts";

/**
 * What is valid, and does less than it seems to: one warning each, shaped like a fault. `services` are the full names of
 * all services; null: they are not known, and nothing is said of hosts that nobody has.
 */
export function lintTraffic(
  documents: readonly TrafficDocument[],
  services: ReadonlySet<string> | null,
): readonly Fault[] {
  const subsets = declaredSubsets(documents);
  const owners = new Map<string, TrafficDocument>();
  return documents.flatMap((document) => [
    ...hostsOf(document).flatMap((host) => lintHost(host, document, services)),
    ...lintSameHost(document, owners),
    ...routesOf(document).flatMap((route) => lintDestinations(route, document, { subsets, services })),
    ...lintShadowed(document),
  ]);
}

function hostsOf(document: TrafficDocument): readonly string[] {
  if (document.kind === "DestinationRule") return [document.host];
  if (document.kind === "Sidecar") return [];
  return document.kind === "VirtualService" ? document.hosts : document.parents.map(({ host }) => host);
}

function routesOf(document: TrafficDocument): readonly HttpRoute[] {
  if (document.kind === "DestinationRule" || document.kind === "Sidecar") return [];
  return document.kind === "VirtualService" ? document.routes : document.routes.map(({ route }) => route);
}

function lintHost(host: string, document: TrafficDocument, services: ReadonlySet<string> | null): readonly Fault[] {
  if (services === null) return [];
  const suffix = suffixOf(host);
  const isKnown = isWildcard(host) ? [...services].some((name) => name.endsWith(suffix)) : services.has(host);
  if (isKnown) return [];
  const meant = [...services].find((name) => name.startsWith(`${host}.`));
  const hint = meant === undefined ? "" : `; a name with a dot is taken as a full one: did you mean ${meant}?`;
  return [warning(document, `no service has the host ${host}${hint}`)];
}

/** Of several that route the requests of one host, one holds. DestinationRules of a namespace are merged. */
function lintSameHost(document: TrafficDocument, owners: Map<string, TrafficDocument>): readonly Fault[] {
  if (document.kind === "DestinationRule") return [];
  return hostsOf(document).flatMap((host) => {
    const first = owners.get(`${document.namespace} ${host}`) ?? owners.get(host);
    if (first === undefined) {
      owners.set(`${document.namespace} ${host}`, document);
      // What routes of Gateway API say of a service, they say together.
      if (!isGatewayRoute(document)) owners.set(host, document);
    }
    if (first === undefined || (isGatewayRoute(first) && isGatewayRoute(document))) return [];
    const place = `${first.source.file}:${first.source.line ?? 1}`;
    return [warning(document, `${host} has routes in ${first.kind} ${first.id} at ${place}, too: one of them holds`)];
  });
}

interface Known {
  readonly subsets: ReadonlyMap<string, ReadonlySet<string>>;
  readonly services: ReadonlySet<string> | null;
}

function lintDestinations({ name, action }: HttpRoute, document: TrafficDocument, known: Known): readonly Fault[] {
  if (action.kind === "respond" && isGatewayRoute(document))
    return [warning(document, `${name}: no destination has a weight above 0: requests are answered with 500`)];
  if (action.kind !== "forward") return [];
  return action.destinations.flatMap((destination) => {
    const host = fullHost(destination.host, destination.namespace);
    const { subset } = destination;
    const isDeclared = subset === null || known.subsets.get(host)?.has(subset) === true;
    const undeclared = `${name}: no DestinationRule declares the subset ${subset} of ${host}: nobody is in it`;
    return [
      ...(isDeclared ? [] : [warning(document, undeclared)]),
      ...(document.kind === "VirtualService" ? lintHost(host, document, known.services) : []),
    ];
  });
}

/** Only an entry without a condition is sure to leave nothing to those after it. */
function lintShadowed(document: TrafficDocument): readonly Fault[] {
  if (document.kind !== "VirtualService") return [];
  const all = document.routes.findIndex(takesAll);
  if (all === -1 || all === document.routes.length - 1) return [];
  const message = `spec.http[${all}] takes every request: spec.http[${all + 1}] and what follows is never reached`;
  return [warning(document, message)];
}

function takesAll({ matches }: VirtualService["routes"][number]): boolean {
  return matches.length === 0 || matches.some(matchesAll);
}

function declaredSubsets(documents: readonly TrafficDocument[]): ReadonlyMap<string, ReadonlySet<string>> {
  const byHost = new Map<string, Set<string>>();
  const rules = documents.filter((each): each is DocumentOf<DestinationRule> => each.kind === "DestinationRule");
  for (const { host, subsets } of rules) {
    const names = byHost.get(host) ?? new Set();
    byHost.set(host, names);
    for (const { name } of subsets) names.add(name);
  }
  return byHost;
}

function warning({ source }: TrafficDocument, message: string): Fault {
  return { file: source.file, line: source.line, column: source.line === null ? null : 1, field: "", message };
}
