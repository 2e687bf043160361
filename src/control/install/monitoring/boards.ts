import type { Board, Panel } from "./board.ts";

const CALLED = `reporter="destination",destination_workload_namespace=~"$namespace",destination_service=~"$service"`;
const RANGE = "[$__rate_interval]";

/** Who talks to whom, and how it goes: Istio's metrics, so that it shows Istio's own sidecars beside ours, too. */
const MESH: Board = {
  uid: "cardea-mesh",
  title: "Cardea: traffic and decisions",
  description: "What the services of the mesh are asked, what they answer, and what policy says of it.",
  rows: [
    {
      title: "Requests",
      panels: [
        lines("Requests", "reqps", "Per called service.", [
          [`sum by (destination_service) (rate(istio_requests_total{${CALLED}}${RANGE}))`, "{{destination_service}}"],
        ]),
        lines("Failed", "percentunit", "5xx, or no answer at all (0), of all.", [
          [
            `sum by (destination_service) (rate(istio_requests_total{${CALLED},response_code=~"5..|0"}${RANGE})) / sum by (destination_service) (rate(istio_requests_total{${CALLED}}${RANGE}))`,
            "{{destination_service}}",
          ],
        ]),
        {
          ...lines("Duration", "ms", "Half and ninety-nine of a hundred; dots are traced requests.", [
            [
              `histogram_quantile(0.5, sum by (le, destination_service) (rate(istio_request_duration_milliseconds_bucket{${CALLED}}${RANGE})))`,
              "p50 {{destination_service}}",
            ],
            [
              `histogram_quantile(0.99, sum by (le, destination_service) (rate(istio_request_duration_milliseconds_bucket{${CALLED}}${RANGE})))`,
              "p99 {{destination_service}}",
            ],
          ]),
          hasExemplars: true,
        },
      ],
    },
    {
      title: "Decisions",
      panels: [
        lines("Denied", "reqps", "Requests and connections, by reason.", [
          [`sum by (reason) (rate(cardea_decisions_total{verdict="denied"}${RANGE}))`, "{{reason}}"],
        ]),
        lines("Would be denied", "reqps", "Let through because the mesh is in AUDIT.", [
          [`sum by (reason) (rate(cardea_decisions_total{verdict="would-deny"}${RANGE}))`, "{{reason}}"],
        ]),
        table("Who is refused", "Requests that a policy denied, in the last hour.", [
          `sum by (source_workload, source_workload_namespace, destination_service) (increase(istio_requests_total{${CALLED},response_flags="UAEX"}[1h])) > 0`,
        ]),
      ],
    },
    {
      title: "Connections",
      panels: [
        lines("Bytes", "Bps", "Opaque connections: from callers, and back to them.", [
          [
            `sum by (destination_service) (rate(istio_tcp_received_bytes_total{${CALLED}}${RANGE}))`,
            "to {{destination_service}}",
          ],
          [
            `sum by (destination_service) (rate(istio_tcp_sent_bytes_total{${CALLED}}${RANGE}))`,
            "from {{destination_service}}",
          ],
        ]),
        lines("Opened", "cps", "New opaque connections.", [
          [
            `sum by (destination_service) (rate(istio_tcp_connections_opened_total{${CALLED}}${RANGE}))`,
            "{{destination_service}}",
          ],
        ]),
        lines("Without mutual TLS", "reqps", "Plaintext that a PeerAuthentication lets in.", [
          [
            `sum by (destination_service) (rate(istio_requests_total{${CALLED},connection_security_policy!="mutual_tls"}${RANGE}))`,
            "{{destination_service}}",
          ],
        ]),
      ],
    },
    {
      title: "Resilience",
      panels: [
        lines("Retries", "reqps", "Requests that were sent once more.", [
          [`sum by (destination_service) (rate(cardea_retries_total${RANGE}))`, "{{destination_service}}"],
        ]),
        lines("Refused by a bound", "reqps", "Circuit breaking, by the bound.", [
          [
            `sum by (destination_service, limit) (rate(cardea_circuit_breaks_total${RANGE}))`,
            "{{destination_service}} {{limit}}",
          ],
        ]),
        lines("Left out", "short", "Workloads that outlier detection leaves out.", [
          ["max by (destination_service) (cardea_outlier_ejections_active)", "{{destination_service}}"],
          [`sum by (reason) (rate(cardea_outlier_ejections_total${RANGE}))`, "new, for {{reason}}"],
        ]),
      ],
    },
  ],
};

/** Whether the mesh itself is well. */
const HEALTH: Board = {
  uid: "cardea-health",
  title: "Cardea: control plane and sidecars",
  description: "Certificates, policies, what telemetry loses, and the processes themselves.",
  rows: [
    {
      title: "Identity",
      panels: [
        lines("Certificates end in", "s", "The ten that end first.", [
          ["bottomk(10, cardea_certificate_expiry_seconds)", "{{instance}}"],
        ]),
        lines("Authority", "s", "Until root, intermediate and serving certificate end.", [
          ["min by (certificate) (cardea_ca_expiry_seconds)", "{{certificate}}"],
        ]),
        lines("Certificates issued", "ops", "And requests that were refused or failed.", [
          [`sum(rate(citadel_server_success_cert_issuance_count${RANGE}))`, "issued"],
          [`sum(rate(citadel_server_authentication_failure_count${RANGE}))`, "not attested"],
          [`sum(rate(citadel_server_csr_parsing_err_count${RANGE}))`, "malformed"],
          [`sum(rate(citadel_server_csr_sign_err_count${RANGE}))`, "failed"],
        ]),
      ],
    },
    {
      title: "Policy",
      panels: [
        lines("Revisions in force", "short", "How many processes have which; one line is how it should be.", [
          ["count by (revision) (cardea_policy_revision_info)", "{{revision}}"],
        ]),
        lines("Age", "s", "Since the control plane last confirmed them; the ten oldest.", [
          ["topk(10, cardea_policy_age_seconds)", "{{instance}}"],
        ]),
        lines("Time to take effect", "s", "From a change to the last sidecar that it concerns.", [
          [`histogram_quantile(0.5, sum by (le) (rate(pilot_proxy_convergence_time_bucket${RANGE})))`, "p50"],
          [`histogram_quantile(0.99, sum by (le) (rate(pilot_proxy_convergence_time_bucket${RANGE})))`, "p99"],
        ]),
      ],
    },
    {
      title: "Control plane",
      panels: [
        lines("Sidecars", "short", "Connected.", [
          ["sum(pilot_xds)", "sidecars"],
          ["max(pilot_services)", "services"],
        ]),
        lines("Pushes", "ops", "By type, and what was refused.", [
          [`sum by (type) (rate(pilot_xds_pushes${RANGE}))`, "{{type}}"],
          [`sum by (type) (rate(pilot_total_xds_rejects${RANGE}))`, "refused {{type}}"],
        ]),
        lines("Faults", "short", "Of policies, of the registry, of the cluster, pods without a sidecar.", [
          ["max(cardea_policy_faults)", "policies"],
          ["max(cardea_registry_faults)", "registry"],
          ["max by (fault) (cardea_cluster_faults) > 0", "{{fault}}"],
          [`max(cardea_meshless_pods{reason="no-sidecar"})`, "pods without a sidecar"],
        ]),
      ],
    },
    {
      title: "Telemetry",
      panels: [
        lines("Flow records", "ops", "Taken by the collector.", [
          [`sum(rate(cardea_flow_records_exported_total${RANGE}))`, "sent"],
          [`sum(rate(cardea_flows_stored_total${RANGE}))`, "stored"],
        ]),
        lines("Lost", "ops", "Records and lines that are gone.", [
          [`sum by (reason) (rate(cardea_flow_records_dropped_total${RANGE}))`, "{{reason}}"],
          [`sum(rate(cardea_flow_lines_dropped_total${RANGE}))`, "lines"],
          [`sum(rate(cardea_flows_rejected_total${RANGE}))`, "rejected"],
        ]),
        lines("Label sets", "short", "Those that are counted under, and events beyond the limit.", [
          ["topk(10, sum by (instance) (cardea_metric_series))", "{{instance}}"],
          [`sum(rate(cardea_metric_overflow_total${RANGE}))`, "beyond the limit, a second"],
        ]),
      ],
    },
    {
      title: "Processes",
      panels: [
        lines("Event loop is late", "s", "Ninety-nine of a hundred; the ten latest.", [
          [
            `topk(10, histogram_quantile(0.99, sum by (le, instance) (rate(cardea_event_loop_lag_seconds_bucket${RANGE}))))`,
            "{{instance}}",
          ],
        ]),
        lines("Event loop is busy", "percentunit", "The one thread that moves the traffic; the ten busiest.", [
          [`topk(10, rate(cardea_event_loop_active_seconds_total${RANGE}))`, "{{instance}}"],
        ]),
        lines("Memory", "bytes", "Resident; the ten largest.", [
          ["topk(10, process_resident_memory_bytes and on (instance) cardea_build_info)", "{{instance}}"],
        ]),
      ],
    },
  ],
};

/** By the name of their file. */
export const BOARDS: Readonly<Record<string, Board>> = { "cardea-mesh": MESH, "cardea-health": HEALTH };

function lines(title: string, unit: string, about: string, queries: Panel["queries"]): Panel {
  return { title, about, kind: "timeseries", unit, queries };
}

function table(title: string, about: string, queries: readonly string[]): Panel {
  return { title, about, kind: "table", unit: "short", queries: queries.map((expr) => [expr, ""] as const) };
}
