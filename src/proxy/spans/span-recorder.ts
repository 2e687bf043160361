import type { Clock } from "../../core/ports.ts";
import type { FlowRecord } from "../../observe/flow.ts";
import { encodeSpan, type SpanAttributes } from "../../observe/otlp-span.ts";
import type { ProtobufBytes } from "../../wire/protobuf-bytes.ts";
import type { TraceIds } from "../../wire/trace-context.ts";
import type { RequestTimes, TracingSide } from "../tracing.ts";
import type { Allowance } from "./allowance.ts";
import { requestSpans, type SampledBy } from "./request-spans.ts";
import { isWithinRatio } from "./trace-ratio.ts";
import type { WallTimes } from "./wall-times.ts";

/** What is to be done at one side. */
export interface TracingSettings {
  /** Of traces that nobody has decided about. */
  readonly samplingPercentage: number;
  /** Off: decided as ever, and passed on, but no spans are made. */
  readonly isReporting: boolean;
  readonly tags: SpanAttributes;
}

/** Takes spans, each as opentelemetry.proto.trace.v1.Span; it must copy them. */
export interface SpanSink {
  add(span: ProtobufBytes): void;
  /** A request's spans that are not made, since there are too many. */
  skipped(): void;
}

export interface SpanRecorderOptions {
  readonly sink: SpanSink;
  readonly clock: Clock;
  readonly times: WallTimes;
  /** Of sampled requests, those that the caller decided on included. */
  readonly sampled: Allowance;
  /** Of denials and errors beside them. */
  readonly unasked: Allowance;
  readonly ids: Pick<TraceIds, "spanId">;
}

/** The gate before spans, and what makes them, at one side of a sidecar. */
export class SpanRecorder implements TracingSide {
  settings: TracingSettings;
  readonly #options: SpanRecorderOptions;

  constructor(settings: TracingSettings, options: SpanRecorderOptions) {
    this.settings = settings;
    this.#options = options;
  }

  isSampled(traceId: string): boolean {
    return isWithinRatio(traceId, this.settings.samplingPercentage) && this.#options.sampled.take();
  }

  request(flow: FlowRecord, requestTimes: RequestTimes): void {
    if (!this.settings.isReporting) return;
    const sampledBy = reasonToReport(flow, requestTimes);
    if (sampledBy === null) return;
    const { sink, clock, times, ids } = this.#options;
    if (!this.#mayReport(sampledBy)) {
      sink.skipped();
      return;
    }
    const { tags } = this.settings;
    const making = { sampledBy, offsetMs: times.offsetMs(), nowMs: clock.monotonicMs(), ids, tags };
    for (const span of requestSpans(flow, requestTimes, making)) sink.add(encodeSpan(span));
  }

  /** What was decided here has been counted then. */
  #mayReport(sampledBy: SampledBy): boolean {
    if (sampledBy === "ratio") return true;
    const { sampled, unasked } = this.#options;
    return (sampledBy === "caller" ? sampled : unasked).take();
  }
}

/** Null: nobody has asked for it. */
function reasonToReport({ verdict, status }: FlowRecord, { trace }: RequestTimes): SampledBy | null {
  if (trace.isSampled) return trace.decidedBy === "here" ? "ratio" : "caller";
  if (verdict === "denied" || verdict === "would-deny") return "denial";
  return verdict === "error" || (status !== null && status >= 500) ? "error" : null;
}
