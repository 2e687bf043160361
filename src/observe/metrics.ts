import type { FlowRecord } from "./flow.ts";

/** What of a flow names the pair of workloads it ran between. */
export type FlowPair = Pick<FlowRecord, "reporter" | "source" | "destination" | "tls">;

/**
 * What the data path counts, under Istio's names. No call allocates once its label set has been seen;
 * `source` and `destination` objects that are used again (see FlowPeer) cost a look-up by identity.
 */
export interface DataPathMetrics {
  /** A request has ended, in whatever way: istio_requests_total and its histograms, cardea_decisions_total. */
  recordRequest(flow: FlowRecord): void;
  /** An opaque connection was opened after its permit: istio_tcp_connections_opened_total. */
  tcpOpened(pair: FlowPair): void;
  /** Bytes moved since the last call (every few seconds and at the end): istio_tcp_{received,sent}_bytes_total. */
  tcpBytes(pair: FlowPair, received: number, sent: number): void;
  /** An opaque connection has ended: istio_tcp_connections_closed_total, cardea_decisions_total. */
  recordTcp(flow: FlowRecord): void;
}
