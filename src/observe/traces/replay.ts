import { callsIn, type TraceCall } from "./calls.ts";
import type { Span, SpanService } from "./span.ts";

/** What one service did in recorded traces, so that a stand-in for it can do the same again. */
export interface ServiceReplay {
  /** Spans with which a trace begins in this service, by time. */
  readonly begun: readonly ReplayedSpan[];
  /** Calls that other services made to it, by `replayKey`. */
  readonly served: ReadonlyMap<string, ReplayedSpan>;
  /** Calls of this service that are left out: the traces do not say what was asked for over HTTP. */
  readonly leftOut: number;
}

/** A service's part in a trace: from being called, or beginning by itself, to its answer. */
export interface ReplayedSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** Null: nobody called, as far as the traces tell. */
  readonly request: TraceCall["request"];
  /** What was answered; 200 where the span does not say. */
  readonly status: number;
  readonly startMs: number;
  readonly durationMs: number;
  readonly calls: readonly ReplayedCall[];
}

/** A call that the service makes meanwhile. */
export interface ReplayedCall {
  readonly called: SpanService;
  readonly port: number | null;
  readonly request: NonNullable<TraceCall["request"]>;
  readonly traceId: string;
  readonly spanId: string;
  readonly status: number;
  /** Since the start of the caller's part. */
  readonly afterMs: number;
  /** How many of the calls before it, in their order, had been answered when it was made: it waits for them. */
  readonly waitsFor: readonly number[];
}

export function replayKey({ traceId, spanId }: { readonly traceId: string; readonly spanId: string }): string {
  return `${traceId} ${spanId}`;
}

/** Of the service that is called so; services of one name in several namespaces are one here. */
export function replayOf(spans: readonly Span[], serviceName: string): ServiceReplay {
  const own = new Map(
    spans.filter(({ service }) => service.name === serviceName).map((span) => [replayKey(span), span]),
  );
  const known = new Set(spans.map(replayKey));
  const { calls } = callsIn(spans);
  const made = new Map<string, TraceCall[]>();
  let leftOut = 0;
  for (const call of calls.filter(({ caller }) => caller.name === serviceName)) {
    const entry = entryOf(call.parent, own);
    if (entry === null || call.request === null) leftOut += 1;
    else made.set(replayKey(entry), [...(made.get(replayKey(entry)) ?? []), call]);
  }
  const part = (span: Span, request: TraceCall["request"]): ReplayedSpan => ({
    traceId: span.traceId,
    spanId: span.spanId,
    request,
    status: statusOf(span),
    startMs: span.startMs,
    durationMs: span.durationMs ?? 0,
    calls: callsOf(span, made.get(replayKey(span)) ?? []),
  });
  const received = calls.filter(({ called, request }) => called.name === serviceName && request !== null);
  const begun = [...own.values()].filter(({ traceId, parentSpanId }) => {
    return parentSpanId === null || !known.has(replayKey({ traceId, spanId: parentSpanId }));
  });
  return {
    begun: begun.map((span) => part(span, null)).toSorted((a, b) => a.startMs - b.startMs),
    served: new Map(received.map(({ span, request }) => [replayKey(span), part(span, request)])),
    leftOut,
  };
}

/** The span with which the service came into the trace; null where parents go in a circle. */
function entryOf(span: Span, own: ReadonlyMap<string, Span>): Span | null {
  const seen = new Set<Span>();
  let entry = span;
  while (!seen.has(entry)) {
    seen.add(entry);
    const { traceId, parentSpanId } = entry;
    const parent = parentSpanId === null ? undefined : own.get(replayKey({ traceId, spanId: parentSpanId }));
    if (parent === undefined) return entry;
    entry = parent;
  }
  return null;
}

function callsOf(entry: Span, calls: readonly TraceCall[]): readonly ReplayedCall[] {
  const perParent = new Map<Span, number>();
  for (const { parent } of calls) perParent.set(parent, (perParent.get(parent) ?? 0) + 1);
  const timed = calls
    // The caller's own span of the call, where it made one, has the caller's clock.
    .map((call) => ({
      call,
      timer: call.parent !== entry && perParent.get(call.parent) === 1 ? call.parent : call.span,
    }))
    .toSorted((a, b) => a.timer.startMs - b.timer.startMs);
  return timed.map(({ call: { called, port, request, span }, timer }, place) => ({
    called,
    port,
    request: request!,
    traceId: span.traceId,
    spanId: span.spanId,
    status: statusOf(span),
    afterMs: Math.max(0, timer.startMs - entry.startMs),
    waitsFor: timed.slice(0, place).flatMap((earlier, index) => {
      return earlier.timer.startMs + (earlier.timer.durationMs ?? 0) <= timer.startMs ? [index] : [];
    }),
  }));
}

function statusOf({ attributes }: Span): number {
  const status = Number(attributes.get("http.response.status_code") ?? attributes.get("http.status_code"));
  return Number.isInteger(status) && status >= 200 && status <= 599 ? status : 200;
}
