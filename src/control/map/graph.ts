import type { MapEdge, MapGraph } from "../../api/map-messages.ts";
import { edgeOf } from "../flows/edge.ts";
import { type EdgesAnswer, type EdgeSum, latencyQuantileMs } from "../flows/query.ts";
import type { GroundWorkload } from "./ground.ts";
import { Places } from "./places.ts";
import { mayReadNamespace, type Reader } from "./readers.ts";

export interface GraphSources {
  readonly workloads: readonly GroundWorkload[];
  /** Identities whose sidecars are in touch. */
  readonly connected: ReadonlySet<string>;
  readonly nowMs: number;
  /** When the oldest stored flow was; null: there is none. */
  readonly sinceMs: number | null;
  readonly reader: Reader;
}

/** Sums of roll-ups, which hold what the reader may see, as nodes and edges; workloads without traffic are nodes as well. */
export function graphOf(answer: EdgesAnswer, { workloads, connected, nowMs, sinceMs, reader }: GraphSources): MapGraph {
  const places = new Places(workloads);
  const groups = Map.groupBy(answer.edges, (sum) => edgeId(endsOf(sum, places), sum));
  const edges = [...groups].map(([id, sums]) => mapEdge(id, sums, endsOf(sums[0]!, places)));
  const visible = new Places(workloads.filter(({ namespace }) => mayReadNamespace(reader, namespace)));
  const ids = edges.flatMap(({ from, to }) => [from, to]);
  return {
    fromMs: answer.fromMs,
    toMs: answer.toMs,
    // What is under way of the last minute is no whole one; and before the first flow nobody looked.
    seconds: Math.max(1, (Math.min(nowMs, answer.toMs) - Math.max(sinceMs ?? 0, answer.fromMs)) / 1_000),
    nodes: visible.nodes(ids, principalsOf(answer.edges, places), connected),
    edges: edges.toSorted((one, other) => (one.id < other.id ? -1 : 1)),
    lostFlows: answer.lostFlows,
  };
}

interface Ends {
  readonly from: string;
  readonly to: string;
}

export function endsOf({ source, destination }: Pick<EdgeSum, "source" | "destination">, places: Places): Ends {
  return { from: places.idOf(source, "source"), to: places.idOf(destination, "destination") };
}

export function edgeId(
  { from, to }: Ends,
  { destination, protocol }: Pick<EdgeSum, "destination" | "protocol">,
): string {
  return `${from}>${to}:${destination.port}/${protocol}`;
}

function principalsOf(sums: readonly EdgeSum[], places: Places): ReadonlyMap<string, string> {
  const principals = new Map<string, string>();
  for (const sum of sums) {
    const { from, to } = endsOf(sum, places);
    if (sum.source.principal !== null) principals.set(from, sum.source.principal);
    if (sum.destination.principal !== null) principals.set(to, sum.destination.principal);
  }
  return principals;
}

function mapEdge(id: string, sums: readonly EdgeSum[], { from, to }: Ends): MapEdge {
  const { destination, protocol, flows, failed, total, bytes, latencyCounts, tls, group } = edgeOf(sums);
  return {
    id,
    from,
    to,
    port: destination.port,
    protocol,
    flows,
    failed,
    total,
    bytes,
    p50Ms: latencyQuantileMs(latencyCounts, 0.5),
    p99Ms: latencyQuantileMs(latencyCounts, 0.99),
    tls,
    group,
    isPostQuantum: tls === "mutual" && group !== null && isPostQuantum(group),
  };
}

/** Hybrids with ML-KEM (FIPS 203); older drafts were called Kyber. */
function isPostQuantum(group: string): boolean {
  return /mlkem|ml-kem|kyber/i.test(group);
}
