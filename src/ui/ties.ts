import type { MapEdge, MapGraph, MapVerdict } from "../api/map-messages.ts";

/** All that goes one way between two nodes, whatever the port: one line of the picture. */
export interface Tie {
  readonly id: string;
  readonly from: string;
  readonly to: string;
  readonly edges: readonly MapEdge[];
  readonly flows: Readonly<Record<MapVerdict, number>>;
  readonly failed: number;
  readonly total: number;
  readonly bytes: number;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  readonly tls: MapEdge["tls"];
  readonly isPostQuantum: boolean;
}

export const VERDICTS = ["allowed", "denied", "would-deny", "error"] as const satisfies readonly MapVerdict[];

export function tieId(from: string, to: string): string {
  return `${from}>${to}`;
}

export function tiesOf({ edges }: Pick<MapGraph, "edges">): readonly Tie[] {
  const groups = Map.groupBy(edges, ({ from, to }) => tieId(from, to));
  return [...groups].map(([id, some]) => tieOf(id, some));
}

function tieOf(id: string, edges: readonly MapEdge[]): Tie {
  const [first] = edges;
  const sum = (value: (edge: MapEdge) => number): number => edges.reduce((all, edge) => all + value(edge), 0);
  const busiest = edges.toSorted((one, other) => other.total - one.total)[0]!;
  // What was denied before it said who it was has no TLS to show: it does not make the rest less safe.
  const passed = edges.filter(({ flows }) => flows.allowed + flows["would-deny"] > 0);
  const shown = passed.length === 0 ? edges : passed;
  const kinds = new Set(shown.map(({ tls }) => tls));
  return {
    id,
    from: first!.from,
    to: first!.to,
    edges,
    flows: {
      allowed: sum(({ flows }) => flows.allowed),
      denied: sum(({ flows }) => flows.denied),
      "would-deny": sum(({ flows }) => flows["would-deny"]),
      error: sum(({ flows }) => flows.error),
    },
    failed: sum(({ failed }) => failed),
    total: sum(({ total }) => total),
    bytes: sum((edge) => edge.bytes),
    p50Ms: busiest.p50Ms,
    p99Ms: edges.reduce<number | null>((most, { p99Ms }) => (p99Ms === null ? most : Math.max(most ?? 0, p99Ms)), null),
    tls: kinds.size === 1 ? [...kinds][0]! : "mixed",
    isPostQuantum: shown.every((edge) => edge.isPostQuantum),
  };
}

/** What is worst about it, which is what is shown first. */
export function worstOf({ flows }: Pick<Tie, "flows">): MapVerdict {
  if (flows.denied > 0) return "denied";
  if (flows["would-deny"] > 0) return "would-deny";
  return flows.error > 0 && flows.allowed === 0 ? "error" : "allowed";
}
