import { VERDICTS, type Verdict } from "../../observe/flow.ts";
import type { EdgeEnd, EdgeSum } from "./query.ts";

/** All that went one way between two workloads, on one port. */
export interface Edge {
  readonly source: EdgeEnd;
  readonly destination: EdgeSum["destination"];
  readonly protocol: EdgeSum["protocol"];
  readonly flows: Readonly<Record<Verdict, number>>;
  /** Answers of class 5 to what was let through. */
  readonly failed: number;
  readonly total: number;
  readonly bytes: number;
  readonly latencyCounts: readonly number[];
  /** mutual: TLS on all of it; the group when it is one. */
  readonly tls: "mutual" | "none" | "mixed";
  readonly group: string | null;
}

/** Sums by verdict and class put together, the busiest first. */
export function edgesOf(sums: readonly EdgeSum[]): readonly Edge[] {
  const byEnds = Map.groupBy(sums, ({ source, destination, protocol }) =>
    JSON.stringify([
      nameEnd(source),
      nameEnd(destination),
      source.namespace,
      destination.namespace,
      destination.port,
      protocol,
    ]),
  );
  return [...byEnds.values()].map(edgeOf).toSorted((one, other) => other.total - one.total);
}

/** Sums of one edge, one at the least, put together. */
export function edgeOf(sums: readonly EdgeSum[]): Edge {
  const [first] = sums;
  const flows = Object.fromEntries(
    VERDICTS.map((verdict) => [verdict, count(sums.filter((sum) => sum.verdict === verdict))]),
  ) as Record<Verdict, number>;
  const groups = new Set(sums.flatMap(({ tls }) => (tls.group === null ? [] : [tls.group])));
  const secured = sums.filter(({ tls }) => tls.version !== null).length;
  return {
    source: first!.source,
    destination: first!.destination,
    protocol: first!.protocol,
    flows,
    failed: count(sums.filter(({ statusClass, verdict }) => statusClass === 5 && verdict !== "denied")),
    total: count(sums),
    bytes: sums.reduce((sum, each) => sum + each.bytesReceived + each.bytesSent, 0),
    latencyCounts: first!.latencyCounts.map((_, i) => sums.reduce((sum, each) => sum + each.latencyCounts[i]!, 0)),
    tls: secured === sums.length ? "mutual" : secured === 0 ? "none" : "mixed",
    group: groups.size === 1 ? [...groups][0]! : null,
  };
}

function count(sums: readonly EdgeSum[]): number {
  return sums.reduce((sum, { flows }) => sum + flows, 0);
}

/** Its workload, else its service, else what its identity says. */
export function nameEnd({ workload, service, principal }: EdgeEnd): string {
  return workload ?? service ?? principal ?? "nobody";
}
