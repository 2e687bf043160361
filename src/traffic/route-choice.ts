import type { Steps } from "../core/slices.ts";
import type { DocumentOf } from "./document.ts";
import { isExportedTo } from "./export-to.ts";
import type { GatewayRoute, ParentService, RankedRoute } from "./gateway-route.ts";
import { HostTable } from "./host-table.ts";
import { namespaceOfHost } from "./hosts.ts";
import type { Client } from "./rule-choice.ts";
import type { HttpRoute } from "./service-traffic.ts";
import type { VirtualService } from "./virtual-service.ts";

/** The routes of a host, and the documents that they stand in. */
export interface ChosenRoutes {
  readonly documents: readonly (DocumentOf<VirtualService> | DocumentOf<GatewayRoute>)[];
  /** Those for a port; null: for ports that nothing is said of. In the order in which they are tried. */
  at(port: number | null): readonly HttpRoute[];
  readonly ports: readonly number[];
}

export interface RouteIndex {
  choose(host: string): ChosenRoutes | null;
  readonly hosts: ReadonlySet<string>;
}

interface Attachment {
  readonly parent: ParentService;
  readonly document: DocumentOf<GatewayRoute>;
}

/** The routes that a client takes. */
export function* indexRoutes(
  virtual: readonly DocumentOf<VirtualService>[],
  gateway: readonly DocumentOf<GatewayRoute>[],
  client: Client,
): Steps<RouteIndex> {
  const virtualHosts = new HostTable<DocumentOf<VirtualService>>();
  for (const document of virtual) {
    yield;
    if (!isExportedTo(document.exportTo, client.namespace)) continue;
    for (const host of document.hosts) virtualHosts.add(host, document);
  }
  const attached = new HostTable<Attachment>();
  for (const document of gateway) {
    yield;
    for (const parent of document.parents) {
      if (isTaken(document, parent, client)) attached.add(parent.host, { parent, document });
    }
  }

  function choose(host: string): ChosenRoutes | null {
    const attachments = attached.at(host);
    if (attachments !== undefined && virtualHosts.at(host) === undefined) return fromGateway(attachments, client);
    const candidates = virtualHosts.mostSpecific(host);
    return candidates === undefined ? null : fromVirtual(nearest(candidates, host, client));
  }
  const hosts = new Set([...virtualHosts.exact.keys(), ...virtualHosts.wildcards.keys(), ...attached.exact.keys()]);
  return { choose, hosts };
}

/** GEP-1294: a route beside its service is for everybody, one elsewhere is for the clients of its own namespace. */
function isTaken(document: DocumentOf<GatewayRoute>, parent: ParentService, client: Client): boolean {
  return document.namespace === parent.namespace || document.namespace === client.namespace;
}

function fromVirtual(document: DocumentOf<VirtualService>): ChosenRoutes {
  const { routes } = document;
  const ports = routes.flatMap(({ matches }) => matches.flatMap(({ port }) => port ?? []));
  return { documents: [document], ports, at: () => routes };
}

/** Routes of the client's own namespace take the place of those beside the service. */
function fromGateway(attachments: readonly Attachment[], client: Client): ChosenRoutes {
  const own = attachments.filter(
    ({ document, parent }) => document.namespace === client.namespace && document.namespace !== parent.namespace,
  );
  const chosen = (own.length > 0 ? own : attachments).toSorted((left, right) =>
    compare(left.document.id, right.document.id),
  );
  return {
    documents: [...new Set(chosen.map(({ document }) => document))],
    ports: chosen.flatMap(({ parent }) => parent.port ?? []),
    at(port) {
      const here = chosen.filter(({ parent }) => parent.port === null || parent.port === port);
      const routes = [...new Set(here.map(({ document }) => document))].flatMap((document) => document.routes);
      // Sorting is stable: of equals the first document by name, and in it the first rule.
      return routes.toSorted(byRank).map(({ route }) => route);
    },
  };
}

function byRank(left: RankedRoute, right: RankedRoute): number {
  for (const [index, value] of left.rank.entries()) {
    const difference = right.rank[index]! - value;
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Of several VirtualServices for a host: the client's own, then the service's, then the first by name. */
function nearest(
  candidates: readonly DocumentOf<VirtualService>[],
  host: string,
  client: Client,
): DocumentOf<VirtualService> {
  const sorted = candidates.toSorted((left, right) => compare(left.id, right.id));
  const ofNamespace = (namespace: string | null) => sorted.find((each) => each.namespace === namespace);
  return ofNamespace(client.namespace) ?? ofNamespace(namespaceOfHost(host)) ?? sorted[0]!;
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
