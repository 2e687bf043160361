/** Whose process a span was recorded in, as far as the trace says. */
export interface SpanService {
  readonly name: string;
  readonly namespace: string | null;
}

/** One span of a trace, whatever it was exported as. */
export interface Span {
  readonly traceId: string;
  readonly spanId: string;
  /** Null: it begins the trace. */
  readonly parentSpanId: string | null;
  readonly service: SpanService;
  readonly name: string;
  readonly startMs: number;
  /** Null: the file does not say. */
  readonly durationMs: number | null;
  readonly attributes: ReadonlyMap<string, string>;
}
