/** One metric: what Prometheus is told of it and what the generated reference says. */
export interface Metric {
  readonly type: "counter" | "gauge" | "histogram";
  readonly labels: readonly string[];
  readonly by: "sidecar" | "every process";
  /** One sentence; it is the HELP line, too. */
  readonly means: string;
}

/** The labels that every one of Istio's standard metrics has, in Istio's order. */
export const PAIR_LABELS = [
  "reporter",
  "source_workload",
  "source_workload_namespace",
  "source_principal",
  "source_app",
  "source_version",
  "source_cluster",
  "source_canonical_service",
  "source_canonical_revision",
  "destination_workload",
  "destination_workload_namespace",
  "destination_principal",
  "destination_app",
  "destination_version",
  "destination_cluster",
  "destination_service",
  "destination_service_name",
  "destination_service_namespace",
  "destination_canonical_service",
  "destination_canonical_revision",
  "request_protocol",
  "connection_security_policy",
] as const;

/**
 * What the series for all label sets beyond the limit has besides, as "true": OpenTelemetry's otel.metric.overflow
 * (specification, metrics/sdk, "Overflow attribute") as its exporters write it for Prometheus.
 */
export const OVERFLOW_LABEL = "otel_metric_overflow";

const REQUEST_LABELS = [...PAIR_LABELS, "response_code", "grpc_response_status", "response_flags"] as const;
const TCP_LABELS = [...PAIR_LABELS, "response_flags"] as const;

/**
 * Every metric that the program exposes. docs/reference/metrics.md and the HELP and TYPE lines come from here.
 * Istio's names, labels and buckets (istio.io, reference/config/metrics) let Kiali and Istio's boards read us.
 */
export const METRIC_TABLE = {
  istio_requests_total: metric("counter", REQUEST_LABELS, "sidecar", "Requests that ended, in whatever way."),
  istio_request_duration_milliseconds: metric(
    "histogram",
    REQUEST_LABELS,
    "sidecar",
    "From the first byte of a request's head to the end of its answer.",
  ),
  istio_request_bytes: metric("histogram", REQUEST_LABELS, "sidecar", "Sizes of request bodies."),
  istio_response_bytes: metric("histogram", REQUEST_LABELS, "sidecar", "Sizes of response bodies."),
  istio_tcp_received_bytes_total: metric(
    "counter",
    TCP_LABELS,
    "sidecar",
    "Bytes from the caller over opaque connections.",
  ),
  istio_tcp_sent_bytes_total: metric("counter", TCP_LABELS, "sidecar", "Bytes to the caller over opaque connections."),
  istio_tcp_connections_opened_total: metric("counter", TCP_LABELS, "sidecar", "Opaque connections that were opened."),
  istio_tcp_connections_closed_total: metric("counter", TCP_LABELS, "sidecar", "Opaque connections that ended."),
  cardea_decisions_total: metric(
    "counter",
    ["reporter", "verdict", "reason"],
    "sidecar",
    "Requests and connections by verdict (allowed, denied, would-deny, error) and by its reason.",
  ),
  cardea_outlier_ejections_total: metric(
    "counter",
    ["destination_service", "reason"],
    "sidecar",
    "Workloads that outlier detection has left out, by the count that was full.",
  ),
  cardea_outlier_ejections_active: metric(
    "gauge",
    ["destination_service"],
    "sidecar",
    "Workloads that outlier detection leaves out now.",
  ),
  cardea_retries_total: metric("counter", ["destination_service"], "sidecar", "Requests that were sent once more."),
  cardea_circuit_breaks_total: metric(
    "counter",
    ["destination_service", "limit"],
    "sidecar",
    "Requests and retries that a bound has refused: requests, pending, retries or retry-budget.",
  ),
  cardea_metric_overflow_total: metric(
    "counter",
    [],
    "sidecar",
    "Events that were counted in series with otel_metric_overflow because the limit metricSeriesMax was reached.",
  ),
  cardea_metric_series: metric(
    "gauge",
    ["kind"],
    "sidecar",
    "Label sets that are counted under now, of the limit metricSeriesMax: requests, connections, traffic.",
  ),
  cardea_flow_lines_dropped_total: metric(
    "counter",
    [],
    "sidecar",
    "Flow lines that were lost because the file or pipe did not take them.",
  ),
  cardea_spans_exported_total: metric("counter", [], "sidecar", "Spans that the control plane has taken."),
  cardea_spans_dropped_total: metric(
    "counter",
    ["reason"],
    "sidecar",
    "Spans that it will never get: rate (counted by request: beyond `tracing.requestsPerSecond`), queue-full, refused or ended.",
  ),
  cardea_flow_records_exported_total: metric("counter", [], "sidecar", "Flow records that the collector has taken."),
  cardea_flow_records_dropped_total: metric(
    "counter",
    ["reason"],
    "sidecar",
    "Flow records that never came to the collector: queue-full (it was away for too long), refused (it did not take them), ended (the sidecar ended before).",
  ),
  cardea_certificate_expiry_seconds: metric(
    "gauge",
    [],
    "sidecar",
    "Time left until this workload's certificate ends; negative when it has ended, absent before the first.",
  ),
  cardea_policy_revision_info: metric(
    "gauge",
    ["revision"],
    "sidecar",
    "The policy set in force, as a label; always 1.",
  ),
  cardea_policy_age_seconds: metric(
    "gauge",
    [],
    "sidecar",
    "Time since the control plane last confirmed the policy set in force; absent before the first.",
  ),
  istio_build: metric(
    "gauge",
    ["component", "tag"],
    "every process",
    "What runs here under Istio's name: component is proxy or pilot, tag the version; always 1.",
  ),
  cardea_build_info: metric("gauge", ["version", "node_version"], "every process", "What runs here; always 1."),
  cardea_event_loop_active_seconds_total: metric(
    "counter",
    [],
    "every process",
    "Time in which the event loop was busy; its rate is the utilisation of the one thread that moves the traffic.",
  ),
  cardea_event_loop_lag_seconds: metric(
    "histogram",
    [],
    "every process",
    "How late timers are called, sampled four times a second: so late is a request that comes at that moment.",
  ),
  process_cpu_seconds_total: metric("counter", [], "every process", "User and system processor time."),
  process_resident_memory_bytes: metric("gauge", [], "every process", "Resident memory."),
  process_start_time_seconds: metric("gauge", [], "every process", "Unix time at which the process began."),
  nodejs_heap_size_used_bytes: metric("gauge", [], "every process", "JavaScript heap in use."),
} as const satisfies Record<string, Metric>;

export type MetricName = keyof typeof METRIC_TABLE;

/** Upper bounds of cardea_event_loop_lag_seconds. */
export const LAG_BUCKETS: readonly number[] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

/** Upper bounds of all other histograms, whatever their unit: Envoy's defaults, which Istio leaves as they are. */
export const BUCKETS: readonly number[] = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000,
  3_600_000,
];

function metric<const Labels extends readonly string[]>(
  type: Metric["type"],
  labels: Labels,
  by: Metric["by"],
  means: string,
): Metric & { readonly labels: Labels } {
  return { type, labels, by, means };
}
