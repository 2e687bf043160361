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
  const groups = new Map<string, { readonly ends: Ends; readonly sums: EdgeSum[] }>();
  const principals = new Map<string, string>();
  for (const sum of answer.edges) {
    const ends = endsOf(sum, places);
    if (sum.source.principal !== null) principals.set(ends.from, sum.source.principal);
    if (sum.destination.principal !== null) principals.set(ends.to, sum.destination.principal);
    const id = edgeId(ends, sum);
    const group = groups.get(id);
    if (group === undefined) groups.set(id, { ends, sums: [sum] });
    else group.sums.push(sum);
  }
  const edges = [...groups].map(([id, { ends, sums }]) => mapEdge(id, sums, ends));
  const visible = new Places(workloads.filter(({ namespace }) => mayReadNamespace(reader, namespace)));
  const ids = edges.flatMap(({ from, to }) => [from, to]);
  return {
    fromMs: answer.fromMs,
    toMs: answer.toMs,
    // What is under way of the last minute is no whole one; and before the first flow nobody looked.
    seconds: Math.max(1, (Math.min(nowMs, answer.toMs) - Math.max(sinceMs ?? 0, answer.fromMs)) / 1_000),
    nodes: visible.nodes(ids, principals, connected),
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
