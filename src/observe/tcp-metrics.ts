import { LIMITS } from "../core/limits.ts";
import type { MetricFamily, MetricSource } from "./metric-source.ts";
import { formatLabels, formatSample } from "./sample-text.ts";
import type { FlowRecord } from "./flow.ts";
import { type FlowPair, overflowLabelValues, pairLabelValues, responseFlagOf, UNKNOWN } from "./flow-labels.ts";
import { METRIC_TABLE, type MetricName, OVERFLOW_LABEL } from "./metric-table.ts";
import { PairMemo } from "./pair-memo.ts";
import { SeriesBlock, type SeriesOffset } from "./series-block.ts";

const COUNTERS = [
  "istio_tcp_connections_opened_total",
  "istio_tcp_connections_closed_total",
  "istio_tcp_received_bytes_total",
  "istio_tcp_sent_bytes_total",
] as const satisfies readonly MetricName[];

const OPENED = 0;
const CLOSED = 1;
const RECEIVED = 2;
const SENT = 3;
/** Behind the counters: connections that are open now, at the series under which they were opened. */
const OPEN = COUNTERS.length;
const STRIDE = OPEN + 1;

const LABELS = METRIC_TABLE.istio_tcp_connections_opened_total.labels;
const TCP = "tcp";
const NO_FLAG = "-";

/** What the istio_tcp_… metrics count. While a connection is open its flag is `-`; how it ended shows at closed. */
export class TcpMetrics implements MetricSource {
  readonly #block: SeriesBlock;
  #open = new PairMemo<SeriesOffset>();

  constructor(seriesMax: number) {
    this.#block = new SeriesBlock(STRIDE, seriesMax);
  }

  opened(pair: FlowPair): void {
    const offset = this.#seriesOf(pair);
    this.#block.values[offset + OPENED]!++;
    this.#block.values[offset + OPEN]!++;
  }

  bytes(pair: FlowPair, received: number, sent: number): void {
    const offset = this.#seriesOf(pair);
    this.#block.values[offset + RECEIVED]! += received;
    this.#block.values[offset + SENT]! += sent;
  }

  closed(flow: FlowRecord): void {
    const offset = this.#intern(flow, responseFlagOf(flow.verdict, flow.reason));
    this.#block.values[offset + CLOSED]!++;
    this.#block.values[this.#seriesOf(flow) + OPEN]!--;
  }

  /** Connections that were opened or closed under unknown labels. */
  get overflows(): number {
    return this.#block.sumBeyondLimit(OPENED) + this.#block.sumBeyondLimit(CLOSED);
  }

  /** Label sets that are counted under now. */
  get size(): number {
    return this.#block.size;
  }

  told(nowMs: number): void {
    const gone = this.#block.forgetIdle({
      nowMs,
      idleMs: LIMITS.metricSeriesIdleMs,
      movementOf: (values, offset) =>
        values[offset + OPENED]! + values[offset + CLOSED]! + values[offset + RECEIVED]! + values[offset + SENT]!,
      // A connection may be silent for longer, and what it moves then belongs to what was counted before.
      isHeld: (values, offset) => values[offset + OPEN]! > 0,
    });
    if (gone.length > 0) this.#open = new PairMemo();
  }

  *families(): Generator<MetricFamily> {
    for (const [counter, name] of COUNTERS.entries()) yield { name, samples: this.#samples(name, counter) };
  }

  #seriesOf(pair: FlowPair): SeriesOffset {
    return this.#open.of(pair, () => this.#intern(pair, NO_FLAG));
  }

  #intern(pair: FlowPair, flag: string): SeriesOffset {
    const labels = formatLabels(LABELS, [...pairLabelValues(pair, TCP), flag]);
    return this.#block.intern(labels, () =>
      formatLabels([...LABELS, OVERFLOW_LABEL], [...overflowLabelValues(pair, TCP), UNKNOWN, "true"]),
    );
  }

  *#samples(name: MetricName, counter: number): Generator<string> {
    for (const [labels, offset] of this.#block.entries()) {
      const value = this.#block.values[offset + counter]!;
      // A series for an unusual end counts ends alone.
      if (value > 0) yield formatSample(name, labels, value);
    }
  }
}
