import type { FlowRecord } from "./flow.ts";

/** One request or connection of a trace, as both sidecars told of it; one of the two may be missing. */
export interface TracedExchange {
  readonly source: FlowRecord | null;
  readonly destination: FlowRecord | null;
  /** Whose word counts: the called side's, where it was reached. */
  readonly flow: FlowRecord;
  readonly startMs: number;
  readonly endMs: number;
  /** What the called app asked for meanwhile, in the order of its beginning. */
  readonly children: readonly TracedExchange[];
}

interface Made extends TracedExchange {
  readonly children: Made[];
}

/**
 * Flow records of one trace → what led to what. Ids tell it wherever the app passed on the context that it was given. An
 * app that makes spans of its own puts them between, and nobody here knows those: then the exchange counts as caused by the
 * one that its caller was just serving, if there is one. Nothing is its own cause, whatever the ids say.
 */
export function traceTree(flows: readonly FlowRecord[]): readonly TracedExchange[] {
  const made = exchangesOf(withoutTwins(flows)).toSorted((a, b) => a.startMs - b.startMs);
  const roots: Made[] = [];
  for (const [index, each] of made.entries()) {
    // Causes begin first; that is what keeps a circle of ids from being one.
    const earlier = made.slice(0, index);
    const cause = causeById(each, earlier) ?? earlierTry(each, earlier) ?? causeByTime(each, earlier);
    (cause?.children ?? roots).push(each);
  }
  return roots;
}

/** What was sent again may have been stored before. */
function withoutTwins(flows: readonly FlowRecord[]): readonly FlowRecord[] {
  return [...new Map(flows.map((flow) => [`${flow.reporter} ${flow.id} ${flow.spanId}`, flow])).values()];
}

function exchangesOf(flows: readonly FlowRecord[]): readonly Made[] {
  const called = new Map<string, FlowRecord>();
  const alone: FlowRecord[] = [];
  for (const flow of flows) {
    if (flow.reporter === "source") continue;
    if (flow.parentSpanId === null || called.has(flow.parentSpanId)) alone.push(flow);
    else called.set(flow.parentSpanId, flow);
  }
  const made: Made[] = [];
  for (const source of flows) {
    if (source.reporter !== "source") continue;
    const destination = source.spanId === null ? null : (called.get(source.spanId) ?? null);
    if (destination !== null) called.delete(source.spanId!);
    made.push(exchangeOf(source, destination));
  }
  for (const destination of [...called.values(), ...alone]) made.push(exchangeOf(null, destination));
  return made;
}

function exchangeOf(source: FlowRecord | null, destination: FlowRecord | null): Made {
  const told = [source, destination].filter((flow) => flow !== null);
  const startMs = Math.min(...told.map(({ timeMs, durationMs }) => timeMs - durationMs));
  const endMs = Math.max(...told.map(({ timeMs }) => timeMs));
  return { source, destination, flow: destination ?? source!, startMs, endMs, children: [] };
}

function causeById(each: Made, earlier: readonly Made[]): Made | undefined {
  const parent = (each.source ?? each.destination)!.parentSpanId;
  if (parent === null) return undefined;
  return earlier.find(({ destination, source }) => destination?.spanId === parent || source?.spanId === parent);
}

/** What reached a workload by a try that was not the last: its caller's record tells the span of the last alone. */
function earlierTry(each: Made, earlier: readonly Made[]): Made | undefined {
  if (each.source !== null) return undefined;
  const isOfIt = ({ source }: Made) =>
    source !== null && (source.attempts ?? 1) > 1 && isSame(source.source, each.flow.source);
  return earlier.findLast((other) => isOfIt(other) && encloses(other, each));
}

function causeByTime(each: Made, earlier: readonly Made[]): Made | undefined {
  return earlier.findLast((other) => isSame(other.flow.destination, each.flow.source) && encloses(other, each));
}

function encloses(outer: Made, inner: Made): boolean {
  return outer.startMs <= inner.startMs && inner.startMs <= outer.endMs;
}

function isSame(a: FlowRecord["source"], b: FlowRecord["source"]): boolean {
  return a.workload !== null && a.workload === b.workload && a.namespace === b.namespace;
}
