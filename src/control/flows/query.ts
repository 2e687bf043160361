import type { FlowRecord, Reporter, Verdict } from "../../observe/flow.ts";

/**
 * What a reader may see: all, or the flows of which one side or both are in one of these namespaces. Every question names
 * it, so that none can be asked without.
 */
export type ReadableNamespaces = "all" | ReadonlySet<string>;

/** From a moment on, up to another and without it; milliseconds since the epoch. */
export interface TimeRange {
  readonly fromMs: number;
  readonly toMs: number;
}

/** One side of an edge. Null: not known, as of a caller that proved no identity. */
export interface EdgeEnd {
  readonly namespace: string | null;
  readonly workload: string | null;
  /** Host name of the service. */
  readonly service: string | null;
  readonly principal: string | null;
}

/** 0: no status (opaque connections, and requests that got none); else the hundreds, 2 for 204. */
export type StatusClass = 0 | 1 | 2 | 3 | 4 | 5;

/**
 * What went between two workloads in a span of time, and came out in one way: a sum of roll-ups. An edge of a map is
 * several of these, one for each verdict and class of status.
 */
export interface EdgeSum {
  readonly source: EdgeEnd;
  readonly destination: EdgeEnd & { readonly port: number };
  readonly protocol: FlowRecord["protocol"];
  /** Who told of it: the destination wherever the exchange came that far. */
  readonly reporter: Reporter;
  readonly verdict: Verdict;
  readonly statusClass: StatusClass;
  /** Between the sidecars; null: no TLS, or not known. The group is what the source's sidecar saw. */
  readonly tls: { readonly version: string | null; readonly group: string | null };
  readonly flows: number;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  /** Flows by duration: how many took up to EDGE_LATENCY_BOUNDS_MS[i], the last one whatever took longer. */
  readonly latencyCounts: readonly number[];
}

/** Upper bounds of all but the last of `latencyCounts`. */
export const EDGE_LATENCY_BOUNDS_MS: readonly number[] = [
  0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000,
];

/** A quantile (0 to 1) of durations by their counts, between two bounds in proportion; null without any. */
export function latencyQuantileMs(latencyCounts: readonly number[], quantile: number): number | null {
  const total = latencyCounts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  let left = total * quantile;
  for (const [i, count] of latencyCounts.entries()) {
    const lowMs = i === 0 ? 0 : EDGE_LATENCY_BOUNDS_MS[i - 1]!;
    // Nothing is known of what lies beyond the last bound but that it does.
    const highMs = EDGE_LATENCY_BOUNDS_MS[i] ?? lowMs;
    if (left <= count) return count === 0 ? lowMs : lowMs + (highMs - lowMs) * (left / count);
    left -= count;
  }
  return EDGE_LATENCY_BOUNDS_MS.at(-1)!;
}

export interface EdgesQuery extends TimeRange {
  readonly namespaces: ReadableNamespaces;
}

export interface EdgesAnswer extends TimeRange {
  /** The range that was summed, which is the question's to the minute; of long ones to ten minutes, or to the hour. */
  readonly edges: readonly EdgeSum[];
  /** Flows that are known to be missing from the range: sidecars tell of what they had to drop. */
  readonly lostFlows: number;
}

/** Which flows are asked for; what is left out restricts nothing. */
export interface FlowFilter extends Partial<TimeRange> {
  readonly verdicts?: readonly Verdict[];
  readonly reporter?: Reporter;
  /** Either side: a workload, `workload.namespace`, `namespace/workload`, a service's host name or a SPIFFE ID. */
  readonly names?: readonly string[];
  /** The same of one side. */
  readonly sourceNames?: readonly string[];
  readonly destinationNames?: readonly string[];
  /** Either side is in one of these. What a reader may see is another matter, and holds besides. */
  readonly inNamespaces?: readonly string[];
  readonly source?: Partial<EdgeEnd>;
  readonly destination?: Partial<EdgeEnd & { readonly port: number }>;
  readonly protocol?: FlowRecord["protocol"];
  readonly method?: string;
  /** The path's beginning. */
  readonly pathPrefix?: string;
  readonly statusFrom?: number;
  readonly statusTo?: number;
  readonly traceId?: string;
  /** What policies in a dry run would decide; any: whatever they would. */
  readonly dryRun?: "allowed" | "denied" | "any";
  /** Only what an AUDIT policy marked. */
  readonly isAudited?: boolean;
}

export interface FlowsQuery {
  readonly filter: FlowFilter;
  readonly namespaces: ReadableNamespaces;
  /** At most FLOW_LIMITS.flowAnswerMax. */
  readonly limit: number;
  /** Where an earlier answer of the same order ended. */
  readonly cursor?: string;
  /** Left out: the newest come first. */
  readonly order?: "newest-first" | "oldest-first";
}

export interface FlowsAnswer {
  /** In the order that was asked for. */
  readonly flows: readonly FlowRecord[];
  /** Ask again with it for what comes next; null: there is nothing more. An answer may be short, and go on. */
  readonly cursor: string | null;
}

export interface DecisionsQuery extends EdgesQuery {
  /** At most so many flows are looked at, the newest. */
  readonly limit: number;
}

/** What one rule, or one reason without a rule, made of what went between two workloads. */
export interface DecisionSum {
  readonly source: EdgeEnd;
  readonly destination: EdgeSum["destination"];
  readonly protocol: FlowRecord["protocol"];
  readonly reporter: Reporter;
  readonly verdict: Verdict;
  readonly reason: FlowRecord["reason"];
  readonly policy: string | null;
  readonly rule: number | null;
  readonly flows: number;
  readonly lastMs: number;
}

export interface DecisionsAnswer extends TimeRange {
  /** The range that was looked at begins later than the question's where there was more than the limit. */
  readonly decisions: readonly DecisionSum[];
  readonly flows: number;
  readonly isWhole: boolean;
}

/** Reads the flow store. Errors of each: `flow-store-unavailable`, and `bad-input` for a cursor that is none. */
export interface FlowQueries {
  edges(query: EdgesQuery): Promise<EdgesAnswer>;
  /** Of the newest flows of a range: no roll-up knows policies, so it takes as long as there are flows. */
  decisions(query: DecisionsQuery): Promise<DecisionsAnswer>;
  flows(query: FlowsQuery): Promise<FlowsAnswer>;
  /** By id, or the beginning of one of eight digits at least; both sidecars' records where there are two. */
  flow(id: string, namespaces: ReadableNamespaces): Promise<readonly FlowRecord[]>;
  /** From now on, as they are stored; `onFlows` must not throw. The function ends it. */
  follow(
    filter: FlowFilter,
    namespaces: ReadableNamespaces,
    onFlows: (flows: readonly FlowRecord[]) => void,
  ): () => void;
  /** From the oldest flow to the newest; null: there is none. */
  span(): Promise<TimeRange | null>;
}
