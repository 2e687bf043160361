import { LIMITS } from "../core/limits.ts";
import type { MetricFamily, MetricSource } from "./metric-source.ts";
import { formatLabels, formatSample } from "./sample-text.ts";
import type { ExpositionFormat } from "./exposition-format.ts";
import type { FlowReason, FlowRecord } from "./flow.ts";
import { overflowLabelValues, pairLabelValues, responseFlagOf, UNKNOWN } from "./flow-labels.ts";
import {
  type Exemplars,
  HISTOGRAM_STRIDE,
  histogramSamples,
  keepExemplar,
  newExemplars,
  observe,
} from "./histogram.ts";
import { METRIC_TABLE, type MetricName, OVERFLOW_LABEL } from "./metric-table.ts";
import { PairMemo } from "./pair-memo.ts";
import { SeriesBlock, type SeriesOffset } from "./series-block.ts";

// Where a series' numbers lie: the count of requests, then three histograms, each a sum and its buckets.
const COUNT = 0;
const DURATION = 1;
const RECEIVED = DURATION + HISTOGRAM_STRIDE;
const SENT = RECEIVED + HISTOGRAM_STRIDE;
const STRIDE = SENT + HISTOGRAM_STRIDE;

const LABELS = METRIC_TABLE.istio_requests_total.labels;
/** A place in a number that is a key: gRPC defines 0 to 16, and a flow may have none. */
const GRPC_STATUSES_MAX = 32;
/** More than there are reasons; a place in a number that is a key. */
const REASONS_MAX = 1_024;

/** What istio_requests_total and its three histograms count. */
export class RequestMetrics implements MetricSource {
  readonly #block: SeriesBlock;
  #series = new PairMemo<Map<number, SeriesOffset>>();
  /** Of durations; only of series that had a sampled trace. */
  readonly #exemplars = new Map<SeriesOffset, Exemplars>();
  readonly #reasons = new Map<FlowReason, number>();

  constructor(seriesMax: number) {
    this.#block = new SeriesBlock(STRIDE, seriesMax);
  }

  /** `isSampled`: the request's trace is kept somewhere, so that its id leads to something. */
  record(flow: FlowRecord, isSampled: boolean): void {
    const outcomes = this.#series.of(flow, newOutcomes);
    const denied = flow.verdict === "denied" ? 1 : 0;
    const status = (flow.status ?? 0) * GRPC_STATUSES_MAX + (flow.grpcStatus ?? -1) + 1;
    const outcome = (status * REASONS_MAX + this.#reasonNumber(flow.reason)) * 2 + denied;
    let offset = outcomes.get(outcome);
    if (offset === undefined) {
      offset = this.#block.intern(requestLabels(flow), () => overflowLabels(flow));
      outcomes.set(outcome, offset);
    }
    const { values } = this.#block;
    values[offset + COUNT]!++;
    const bucket = observe(values, offset + DURATION, flow.durationMs);
    if (isSampled) this.#keepExemplar(flow, offset, bucket);
    observe(values, offset + RECEIVED, flow.bytesReceived);
    observe(values, offset + SENT, flow.bytesSent);
  }

  /** Requests that were counted under unknown labels. */
  get overflows(): number {
    return this.#block.sumBeyondLimit(COUNT);
  }

  /** Label sets that are counted under now. */
  get size(): number {
    return this.#block.size;
  }

  *families(format: ExpositionFormat): Generator<MetricFamily> {
    const histogram = (name: MetricName, part: number): MetricFamily => ({
      name,
      samples: this.#histogram(name, part, format),
    });
    yield { name: "istio_requests_total", samples: this.#counts() };
    yield histogram("istio_request_duration_milliseconds", DURATION);
    yield histogram("istio_request_bytes", RECEIVED);
    yield histogram("istio_response_bytes", SENT);
  }

  told(nowMs: number): void {
    const gone = this.#block.forgetIdle({
      nowMs,
      idleMs: LIMITS.metricSeriesIdleMs,
      movementOf: (values, offset) => values[offset + COUNT]!,
      isHeld: () => false,
    });
    for (const offset of gone) this.#exemplars.delete(offset);
    // It remembers offsets of what is gone; what is left is found again by its labels.
    if (gone.length > 0) this.#series = new PairMemo();
  }

  #keepExemplar({ traceId, durationMs, timeMs }: FlowRecord, offset: SeriesOffset, bucket: number): void {
    if (traceId === null) return;
    let exemplars = this.#exemplars.get(offset);
    if (exemplars === undefined) this.#exemplars.set(offset, (exemplars = newExemplars()));
    keepExemplar(exemplars, bucket, { traceId, value: durationMs, timeMs });
  }

  /** Reasons are few and fixed; a small number of each makes a key without building a text. */
  #reasonNumber(reason: FlowReason): number {
    const known = this.#reasons.get(reason);
    if (known !== undefined) return known;
    this.#reasons.set(reason, this.#reasons.size);
    return this.#reasons.size - 1;
  }

  *#counts(): Generator<string> {
    for (const [labels, offset] of this.#block.entries()) {
      yield formatSample("istio_requests_total", labels, this.#block.values[offset + COUNT]!);
    }
  }

  *#histogram(name: MetricName, part: number, format: ExpositionFormat): Generator<string> {
    for (const [labels, offset] of this.#block.entries()) {
      const exemplars = part === DURATION && format === "openmetrics" ? this.#exemplars.get(offset) : undefined;
      yield* histogramSamples({ name, labels, values: this.#block.values, at: offset + part, exemplars }, format);
    }
  }
}

function newOutcomes(): Map<number, SeriesOffset> {
  return new Map();
}

function requestLabels(flow: FlowRecord): string {
  const status = `${flow.status ?? 0}`;
  // The gRPC status is empty where the protocol is not gRPC, as Istio has it.
  const grpcStatus = flow.grpcStatus === null ? "" : `${flow.grpcStatus}`;
  const flag = responseFlagOf(flow.verdict, flow.reason);
  return formatLabels(LABELS, [...pairLabelValues(flow, protocolOf(flow)), status, grpcStatus, flag]);
}

function overflowLabels(flow: FlowRecord): string {
  const values = [...overflowLabelValues(flow, protocolOf(flow)), UNKNOWN, UNKNOWN, UNKNOWN, "true"];
  return formatLabels([...LABELS, OVERFLOW_LABEL], values);
}

/** Istio's request_protocol. */
function protocolOf({ grpcStatus }: FlowRecord): "http" | "grpc" {
  return grpcStatus === null ? "http" : "grpc";
}
