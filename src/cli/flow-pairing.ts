import type { FlowRecord } from "../observe/flow.ts";

/** Both sidecars write their record when the exchange ends; further apart they are of different ones. */
const APART_MS_MAX = 5_000;

/** How long a source's record waits for the destination's as they happen: sidecars write within 50 ms. */
const HOLD_MS = 250;

/** When a destination's record with this key was written. */
type Seen = Map<string, number>;

/**
 * Each request once: a source's record is left out when the destination's own is there, which says more.
 * Records come newest first, and go on so.
 */
export async function* oncePerRequest(newestFirst: AsyncIterable<FlowRecord>): AsyncGenerator<FlowRecord> {
  const seen: Seen = new Map();
  let held: FlowRecord[] = [];
  for await (const flow of newestFirst) {
    remember(seen, flow);
    held.push(flow);
    if (held[0]!.timeMs - flow.timeMs <= 2 * APART_MS_MAX) continue;
    // Whatever could belong to the older half of what is held has come.
    const isReady = (each: FlowRecord): boolean => each.timeMs - flow.timeMs > APART_MS_MAX;
    yield* held.filter((each) => isReady(each) && !isToldBetter(seen, each));
    held = held.filter((each) => !isReady(each));
    forgetOutside(seen, Number.NEGATIVE_INFINITY, flow.timeMs + 2 * APART_MS_MAX);
  }
  yield* held.filter((each) => !isToldBetter(seen, each));
}

/** The same for records as they happen: a source's is held back until its other half had time to come. */
export class LivePairing {
  readonly #seen: Seen = new Map();
  readonly #holdMs: number;
  #held: { readonly flow: FlowRecord; readonly sinceMs: number }[] = [];

  constructor(holdMs: number = HOLD_MS) {
    this.#holdMs = holdMs;
  }

  /** Takes what has come (if anything) and gives what may be shown at `nowMs`, by time. */
  pass(flows: readonly FlowRecord[], nowMs: number): readonly FlowRecord[] {
    for (const flow of flows) {
      remember(this.#seen, flow);
      if (flow.reporter === "source") this.#held.push({ flow, sinceMs: nowMs });
      else forgetOutside(this.#seen, flow.timeMs - 2 * APART_MS_MAX, Number.POSITIVE_INFINITY);
    }
    const isRipe = ({ sinceMs }: { sinceMs: number }): boolean => nowMs - sinceMs >= this.#holdMs;
    const alone = this.#held.filter((each) => isRipe(each) && !isToldBetter(this.#seen, each.flow));
    this.#held = this.#held.filter((each) => !isRipe(each));
    const told = flows.filter((flow) => flow.reporter === "destination");
    return [...told, ...alone.map(({ flow }) => flow)].toSorted((a, b) => a.timeMs - b.timeMs);
  }
}

function remember(seen: Seen, flow: FlowRecord): void {
  if (flow.reporter !== "destination") return;
  for (const key of keysOf(flow)) seen.set(key, flow.timeMs);
}

function isToldBetter(seen: Seen, flow: FlowRecord): boolean {
  if (flow.reporter === "destination") return false;
  return keysOf(flow).some(
    (key) => Math.abs((seen.get(key) ?? Number.POSITIVE_INFINITY) - flow.timeMs) <= APART_MS_MAX,
  );
}

/**
 * What both records of one exchange have in common: the source's span is the parent of the destination's, of requests
 * and of TCP through a tunnel; an opaque connection of its own, or one that was refused before it spoke HTTP, is known by
 * the port that it came from.
 */
export function keysOf(flow: FlowRecord): readonly string[] {
  const span = flow.reporter === "source" ? flow.spanId : flow.parentSpanId;
  if (flow.traceId !== null && span !== null) {
    // The destination never told of a request that it refused at the handshake.
    const port = flow.reporter === "source" && flow.verdict === "error" ? flow.upstreamPort : null;
    return port === null ? [`${flow.traceId}-${span}`] : [`${flow.traceId}-${span}`, `port-${port}`];
  }
  const port = flow.reporter === "source" ? flow.upstreamPort : flow.source.port;
  return port === null ? [] : [`port-${port}`];
}

function forgetOutside(seen: Seen, fromMs: number, toMs: number): void {
  for (const [key, atMs] of seen) if (atMs < fromMs || atMs > toMs) seen.delete(key);
}
