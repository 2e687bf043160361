import { formatLabels, formatSample, type MetricFamily, type MetricSource } from "./exposition.ts";
import type { FlowReason, FlowRecord } from "./flow.ts";
import { overflowLabelValues, pairLabelValues, responseFlagOf, UNKNOWN } from "./flow-labels.ts";
import { BUCKETS, METRIC_TABLE, type MetricName } from "./metric-table.ts";
import { PairMemo } from "./pair-memo.ts";
import { SeriesBlock, type SeriesOffset } from "./series-block.ts";

// Where a series' numbers lie: the count of requests, then three histograms, each a sum and its buckets.
const HISTOGRAM_STRIDE = 1 + BUCKETS.length + 1;
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
  readonly #series = new PairMemo<Map<number, SeriesOffset>>();
  readonly #reasons = new Map<FlowReason, number>();

  constructor(seriesMax: number) {
    this.#block = new SeriesBlock(STRIDE, seriesMax);
  }

  record(flow: FlowRecord): void {
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
    observe(values, offset + DURATION, flow.durationMs);
    observe(values, offset + RECEIVED, flow.bytesReceived);
    observe(values, offset + SENT, flow.bytesSent);
  }

  /** Requests that were counted under unknown labels. */
  get overflows(): number {
    return this.#block.sumBeyondLimit(COUNT);
  }

  *families(): Generator<MetricFamily> {
    yield { name: "istio_requests_total", samples: this.#counts() };
    yield {
      name: "istio_request_duration_milliseconds",
      samples: this.#histogram("istio_request_duration_milliseconds", DURATION),
    };
    yield { name: "istio_request_bytes", samples: this.#histogram("istio_request_bytes", RECEIVED) };
    yield { name: "istio_response_bytes", samples: this.#histogram("istio_response_bytes", SENT) };
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

  *#histogram(name: MetricName, part: number): Generator<string> {
    for (const [labels, offset] of this.#block.entries())
      yield* histogramSamples(name, labels, this.#block.values, offset + part);
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
  return formatLabels(LABELS, [...overflowLabelValues(flow, protocolOf(flow)), UNKNOWN, UNKNOWN, UNKNOWN]);
}

/** Istio's request_protocol. */
function protocolOf({ grpcStatus }: FlowRecord): "http" | "grpc" {
  return grpcStatus === null ? "http" : "grpc";
}

/** Adds one observation to the histogram at `at`: its sum, then a count for each bucket and one for beyond. */
function observe(values: Float64Array, at: number, value: number): void {
  values[at]! += value;
  let bucket = 0;
  while (bucket < BUCKETS.length && value > BUCKETS[bucket]!) bucket++;
  values[at + 1 + bucket]!++;
}

function* histogramSamples(name: string, labels: string, values: Float64Array, at: number): Generator<string> {
  // The buckets are read together, so that count and buckets agree although the scrape goes on in slices.
  const counts = values.slice(at + 1, at + HISTOGRAM_STRIDE);
  const sum = values[at]!;
  let count = 0;
  for (let bucket = 0; bucket < counts.length; bucket++) {
    count += counts[bucket]!;
    yield formatSample(`${name}_bucket`, `${labels},le="${BUCKETS[bucket] ?? "+Inf"}"`, count);
  }
  yield formatSample(`${name}_sum`, labels, sum);
  yield formatSample(`${name}_count`, labels, count);
}
