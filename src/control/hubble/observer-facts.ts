import type { GET_NAMESPACES_RESPONSE, GET_NODES_RESPONSE, SERVER_STATUS_RESPONSE } from "../../api/hubble-messages.ts";
import type { Address, Clock } from "../../core/ports.ts";
import type { EdgesAnswer, FlowQueries, ReadableNamespaces } from "../flows/query.ts";
import type { ObserverPlace } from "./flow-message.ts";

export interface FactsSources {
  readonly queries: Pick<FlowQueries, "edges" | "span">;
  readonly place: ObserverPlace;
  readonly startedMs: number;
  /** Octets that the store may take. */
  readonly storeBytesMax: number;
  readonly clock: Clock;
}

export type ServerStatus = Parameters<typeof SERVER_STATUS_RESPONSE.serialize>[0];
export type Nodes = Parameters<typeof GET_NODES_RESPONSE.serialize>[0];
export type Namespaces = Parameters<typeof GET_NAMESPACES_RESPONSE.serialize>[0];

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
/** What a flow takes on the disk with its indexes (docs/adr/0038-flows-go-to-the-control-plane.md). */
const FLOW_BYTES = 150;

/** What is stored, as far as the reader may see it; exchanges that both sidecars tell of are counted once. */
export async function serverStatus(sources: FactsSources, readable: ReadableNamespaces): Promise<ServerStatus> {
  const nowMs = sources.clock.wallMs();
  const counts = await flowCounts(sources, readable);
  const minute = await sources.queries.edges({ fromMs: nowMs - MINUTE_MS, toMs: nowMs, namespaces: readable });
  const seconds = Math.max(1, (Math.min(nowMs, minute.toMs) - minute.fromMs) / 1_000);
  return {
    ...counts,
    numConnectedNodes: { value: 1 },
    numUnavailableNodes: { value: 0 },
    version: `cardea ${sources.place.version}`,
    flowsRate: countOf(minute) / seconds,
  };
}

/** The control plane is the one node that there is. */
export async function nodes(
  sources: FactsSources & { readonly at: Address; readonly isSecured: boolean },
  readable: ReadableNamespaces,
): Promise<Nodes> {
  const { place, at, isSecured } = sources;
  const address = at.host.includes(":") ? `[${at.host}]:${at.port}` : `${at.host}:${at.port}`;
  const counts = await flowCounts(sources, readable);
  const about = { name: place.node, version: `cardea ${place.version}`, address };
  return { nodes: [{ ...about, state: "NODE_CONNECTED", tls: { enabled: isSecured }, ...counts }] };
}

/** Those of the last hour's flows, by name. */
export async function namespaces(sources: FactsSources, readable: ReadableNamespaces): Promise<Namespaces> {
  const nowMs = sources.clock.wallMs();
  const { edges } = await sources.queries.edges({ fromMs: nowMs - HOUR_MS, toMs: nowMs, namespaces: readable });
  const names = new Set(edges.flatMap(({ source, destination }) => [source.namespace, destination.namespace]));
  const known = [...names].filter((name) => name !== null).toSorted();
  return { namespaces: known.map((namespace) => ({ cluster: sources.place.cluster, namespace })) };
}

async function flowCounts({ queries, clock, startedMs, storeBytesMax }: FactsSources, readable: ReadableNamespaces) {
  const span = await queries.span();
  const numFlows = span === null ? 0 : countOf(await queries.edges({ ...span, namespaces: readable }));
  return {
    numFlows,
    maxFlows: Math.max(numFlows, Math.floor(storeBytesMax / FLOW_BYTES)),
    // What was seen and is no longer kept is not counted.
    seenFlows: numFlows,
    uptimeNs: Math.max(0, Math.round(clock.wallMs() - startedMs)) * 1_000_000,
  };
}

function countOf({ edges }: EdgesAnswer): number {
  return edges.reduce((sum, { flows }) => sum + flows, 0);
}
