import { LIMITS } from "../core/limits.ts";
import { DecisionMetrics } from "./decision-metrics.ts";
import type { MetricFamily, MetricSource } from "./metric-source.ts";
import { formatLabels, formatSample } from "./sample-text.ts";
import type { FlowRecord } from "./flow.ts";
import type { FlowPair } from "./flow-labels.ts";
import { METRIC_TABLE } from "./metric-table.ts";
import { RequestMetrics } from "./request-metrics.ts";
import { TcpMetrics } from "./tcp-metrics.ts";
import { type TrafficCounts, TrafficMetrics } from "./traffic-metrics.ts";

export type { FlowPair } from "./flow-labels.ts";

/**
 * What the data path counts, under Istio's names. No call allocates once its label set has been seen, and
 * `source` and `destination` objects that are used again (see FlowPeer) are looked up by identity.
 */
export interface DataPathMetrics extends MetricSource {
  /**
   * A request has ended, in whatever way: istio_requests_total and its histograms, cardea_decisions_total. `isSampled`:
   * its trace is kept, so that it may be an exemplar.
   */
  recordRequest(flow: FlowRecord, isSampled?: boolean): void;
  /** A connection was refused before there was a request or a permit: cardea_decisions_total. */
  recordRefused(flow: FlowRecord): void;
  /** An opaque connection was opened after its permit: istio_tcp_connections_opened_total. */
  tcpOpened(pair: FlowPair): void;
  /** Bytes moved since the last call (every few seconds and at the end): istio_tcp_{received,sent}_bytes_total. */
  tcpBytes(pair: FlowPair, received: number, sent: number): void;
  /** An opaque connection that was opened has ended: istio_tcp_connections_closed_total, cardea_decisions_total. */
  recordTcp(flow: FlowRecord): void;
  /** Ejections, retries and broken circuits. */
  readonly traffic: TrafficCounts;
}

/** The counters of one sidecar. `seriesMax` bounds the label sets of requests and, apart from them, of connections. */
export function createDataPathMetrics(seriesMax: number = LIMITS.metricSeriesMax): DataPathMetrics {
  const requests = new RequestMetrics(seriesMax);
  const tcp = new TcpMetrics(seriesMax);
  const decisions = new DecisionMetrics();
  const traffic = new TrafficMetrics(seriesMax);
  return {
    traffic,
    recordRequest(flow, isSampled = false) {
      requests.record(flow, isSampled);
      decisions.record(flow);
    },
    recordRefused: (flow) => decisions.record(flow),
    tcpOpened: (pair) => tcp.opened(pair),
    tcpBytes: (pair, received, sent) => tcp.bytes(pair, received, sent),
    recordTcp(flow) {
      tcp.closed(flow);
      decisions.record(flow);
    },
    *families(format) {
      yield* requests.families(format);
      yield* tcp.families();
      yield* decisions.families();
      yield* traffic.families();
      const name = "cardea_metric_overflow_total";
      yield { name, samples: [formatSample(name, "", requests.overflows + tcp.overflows + traffic.overflows)] };
      yield sizes({ requests: requests.size, connections: tcp.size, traffic: traffic.size });
    },
    told(nowMs) {
      requests.told(nowMs);
      tcp.told(nowMs);
      traffic.told(nowMs);
    },
  };
}

function sizes(byKind: Readonly<Record<string, number>>): MetricFamily {
  const name = "cardea_metric_series";
  const { labels } = METRIC_TABLE[name];
  const samples = Object.entries(byKind).map(([kind, size]) => formatSample(name, formatLabels(labels, [kind]), size));
  return { name, samples };
}
