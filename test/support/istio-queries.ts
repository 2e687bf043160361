/** What one file of somebody else's asks Prometheus for: the names of metrics, and of the labels that it uses of each. */
export interface Asked {
  /** Repository, commit of 2026-08, file. */
  readonly source: string;
  readonly metrics: Readonly<Record<string, readonly string[]>>;
}

const SIDES = ["source", "destination"] as const;
const WORKLOADS = SIDES.flatMap((side) => [`${side}_workload`, `${side}_workload_namespace`]);
const CLUSTERS = SIDES.map((side) => `${side}_cluster`);
const BOARD = ["reporter", "connection_security_policy", "destination_service", ...WORKLOADS];

/** Kiali's `groupBy` of the graph, and what each appender adds to it. */
const GRAPH = [
  "reporter",
  ...WORKLOADS,
  ...CLUSTERS,
  ...SIDES.flatMap((side) => [`${side}_canonical_service`, `${side}_canonical_revision`]),
  "destination_service",
  "destination_service_name",
  "destination_service_namespace",
];
const OUTCOME = ["request_protocol", "response_code", "grpc_response_status", "response_flags"];
const SECURITY = ["source_principal", "destination_principal", "connection_security_policy"];

const ISTIO = "istio/istio 86c9f01 manifests/addons/dashboards";
const KIALI = "kiali/kiali d733a09";

/** Read from the queries of Istio's boards and of Kiali; the boards themselves are not here. */
export const ISTIO_QUERIES: readonly Asked[] = [
  {
    source: `${ISTIO}/istio-mesh-dashboard.gen.json`,
    metrics: {
      istio_requests_total: [
        "reporter",
        "response_code",
        "destination_service",
        "destination_workload",
        "destination_workload_namespace",
      ],
      istio_request_duration_milliseconds_bucket: [
        "le",
        "reporter",
        "destination_workload",
        "destination_workload_namespace",
      ],
      istio_tcp_received_bytes_total: [
        "reporter",
        "destination_service",
        "destination_workload",
        "destination_workload_namespace",
      ],
      istio_tcp_sent_bytes_total: [
        "reporter",
        "destination_service",
        "destination_workload",
        "destination_workload_namespace",
      ],
      istio_build: ["component", "tag"],
    },
  },
  {
    source: `${ISTIO}/istio-service-dashboard.json`,
    metrics: {
      istio_requests_total: [...BOARD, ...CLUSTERS, "response_code"],
      istio_request_duration_milliseconds_bucket: ["le", ...BOARD],
      istio_request_bytes_bucket: ["le", ...BOARD],
      istio_response_bytes_bucket: ["le", ...BOARD],
      istio_tcp_received_bytes_total: BOARD,
      istio_tcp_sent_bytes_total: [...BOARD, ...CLUSTERS],
    },
  },
  {
    source: `${ISTIO}/istio-workload-dashboard.json`,
    metrics: {
      istio_requests_total: [...BOARD, "destination_principal", "response_code"],
      istio_request_duration_milliseconds_bucket: ["le", ...BOARD],
      istio_request_bytes_bucket: ["le", ...BOARD],
      istio_response_bytes_bucket: ["le", ...BOARD],
      istio_tcp_received_bytes_total: BOARD,
      istio_tcp_sent_bytes_total: BOARD,
    },
  },
  {
    source: `${ISTIO}/istio-performance-dashboard.json`,
    metrics: {
      istio_requests_total: ["reporter", "source_workload"],
      istio_request_bytes_sum: ["reporter", "source_workload_namespace"],
      istio_response_bytes_sum: ["reporter", "source_workload", "source_workload_namespace"],
      istio_build: ["component", "tag"],
      process_cpu_seconds_total: [],
      process_resident_memory_bytes: [],
      process_virtual_memory_bytes: [],
      process_open_fds: [],
    },
  },
  {
    source: `${ISTIO}/pilot-dashboard.gen.json`,
    metrics: {
      istio_build: ["component", "tag"],
      pilot_xds: [],
      pilot_xds_pushes: ["type"],
      pilot_total_xds_rejects: ["type"],
      galley_validation_passed: [],
      galley_validation_failed: [],
      sidecar_injection_success_total: [],
      sidecar_injection_failure_total: [],
    },
  },
  {
    source: `${KIALI} graph/telemetry/istio/istio.go, appender/{aggregate_node,security_policy,throughput,response_time}.go`,
    metrics: {
      istio_requests_total: [...GRAPH, ...OUTCOME, ...SECURITY],
      istio_tcp_received_bytes_total: [...GRAPH, ...SECURITY, "response_flags"],
      istio_tcp_sent_bytes_total: [...GRAPH, ...SECURITY, "response_flags"],
      istio_request_bytes_sum: GRAPH,
      istio_response_bytes_sum: GRAPH,
      istio_request_duration_milliseconds_sum: [...GRAPH, "request_protocol"],
      istio_request_duration_milliseconds_count: [...GRAPH, "request_protocol"],
      istio_request_duration_milliseconds_bucket: ["le", ...GRAPH, "request_protocol"],
    },
  },
  {
    source: `${KIALI} business/metrics_definitions.go, metrics_labels_builder.go, prometheus/metrics.go`,
    metrics: {
      istio_requests_total: [...GRAPH, "response_code", "grpc_response_status", "request_protocol"],
      istio_request_duration_milliseconds_bucket: ["le", ...GRAPH, "request_protocol"],
      istio_request_bytes_bucket: ["le", ...GRAPH],
      istio_response_bytes_bucket: ["le", ...GRAPH],
      istio_tcp_connections_opened_total: GRAPH,
      istio_tcp_connections_closed_total: GRAPH,
    },
  },
  {
    source: `${KIALI} business/metrics.go, config/dashboards/dashboards.go (istiod)`,
    metrics: {
      pilot_info: [],
      pilot_proxy_convergence_time_sum: [],
      pilot_proxy_convergence_time_count: [],
      pilot_xds: [],
      pilot_xds_pushes: ["type"],
      pilot_services: [],
      process_cpu_seconds_total: [],
      process_resident_memory_bytes: [],
    },
  },
];

/** What the same files ask for and we have not, and why. */
export const NOT_OURS: Readonly<Record<string, string>> = {
  "container_*": "the kubelet's (cAdvisor), of any container",
  "go_*": "of Go's runtime; ours is Node: nodejs_*",
  "envoy_*": "of Envoy",
  istio_request_duration_seconds_bucket: "a name of Istio's past, asked for behind `or`",
  istio_request_messages_total:
    "messages within gRPC streams are not counted; Kiali shows gRPC by requests unless told",
  istio_response_messages_total: "the same",
  pilot_k8s_cfg_events: "of istiod's own caches",
  pilot_k8s_reg_events: "the same",
  pilot_push_triggers: "the same",
  pilot_total_xds_internal_errors: "the same",
  pilot_xds_config_size_bytes_bucket: "the same",
  pilot_xds_push_time_bucket: "pilot_proxy_convergence_time has the whole way, to the moment at which it is in force",
  "ztunnel board": "of a node's ztunnel, which we have not; what it asks of istio_tcp_* is there without app=ztunnel",
};
