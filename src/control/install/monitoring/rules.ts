/** A group of a Prometheus rule file (and of a PrometheusRule of its operator). */
export interface RuleGroup {
  readonly name: string;
  readonly rules: readonly (RecordingRule | AlertRule)[];
}

interface RecordingRule {
  readonly record: string;
  readonly expr: string;
}

interface AlertRule {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly labels: { readonly severity: Severity };
  readonly annotations: { readonly summary: string; readonly description: string };
}

/** critical: traffic is being lost, or will be within minutes. warning: somebody has to look today. info: worth knowing. */
type Severity = "critical" | "warning" | "info";

const HOUR = 3_600;
const DAY = 24 * HOUR;

/** What the boards and alerts ask for again and again, computed once. */
const RECORDED: RuleGroup = {
  name: "cardea-recorded",
  rules: [
    record("cardea:requests:rate5m", `sum by (${edge()}) (rate(istio_requests_total{reporter="destination"}[5m]))`),
    record(
      "cardea:request_errors:rate5m",
      `sum by (${edge()}) (rate(istio_requests_total{reporter="destination",response_code=~"5..|0"}[5m]))`,
    ),
    record(
      "cardea:request_duration_milliseconds:p99_5m",
      `histogram_quantile(0.99, sum by (le, ${edge()}) (rate(istio_request_duration_milliseconds_bucket{reporter="destination"}[5m])))`,
    ),
    record("cardea:denials:rate5m", `sum by (namespace, reason) (rate(cardea_decisions_total{verdict="denied"}[5m]))`),
    record(
      "cardea:event_loop_lag_seconds:p99_5m",
      "histogram_quantile(0.99, sum by (le, instance, namespace, pod) (rate(cardea_event_loop_lag_seconds_bucket[5m])))",
    ),
  ],
};

const IDENTITY: RuleGroup = {
  name: "cardea-identity",
  rules: [
    alert("CardeaCertificateEndsSoon", "warning", {
      expr: "cardea_certificate_expiry_seconds < 600 and cardea_certificate_expiry_seconds > 0",
      for: "1m",
      summary: "The certificate of {{ $labels.instance }} ends in {{ $value | humanizeDuration }}",
      description:
        "It is renewed at half of its life (30 minutes of an hour), so several tries have failed. Is the control plane there? `cardea doctor` tells. With lifetimes below 20 minutes this alert has to be changed.",
    }),
    alert("CardeaCertificateEnded", "critical", {
      expr: "cardea_certificate_expiry_seconds <= 0",
      for: "0m",
      summary: "The certificate of {{ $labels.instance }} has ended",
      description: "Nobody in the mesh talks to this workload any more, and it to nobody.",
    }),
    alert("CardeaAuthorityEndsSoon", "warning", {
      expr: `cardea_ca_expiry_seconds{certificate="root"} < ${60 * DAY} or cardea_ca_expiry_seconds{certificate="intermediate"} < ${7 * DAY} or cardea_ca_expiry_seconds{certificate="serving"} < ${2 * HOUR}`,
      for: "10m",
      summary:
        "The {{ $labels.certificate }} certificate of {{ $labels.instance }} ends in {{ $value | humanizeDuration }}",
      description:
        "Intermediate and serving certificate are replaced by themselves, so something keeps that from happening; a root has to be replaced by its owner.",
    }),
    alert("CardeaAuthorityUnreachable", "critical", {
      expr: "absent(citadel_server_root_cert_expiry_seconds)",
      for: "5m",
      summary: "No control plane is seen by Prometheus",
      description:
        "Without one no certificate is renewed and no pod of the mesh starts. What runs goes on with what it holds, for half a certificate's life at least.",
    }),
    alert("CardeaAuthorityFails", "warning", {
      expr: "increase(citadel_server_csr_sign_err_count[10m]) > 0",
      for: "0m",
      summary: "{{ $labels.instance }} could not issue certificates",
      description: "For a reason of its own: its log tells (`svid-refused`).",
    }),
    alert("CardeaCallersNotAttested", "warning", {
      expr: "increase(citadel_server_authentication_failure_count[10m]) > 5",
      for: "10m",
      summary: "Somebody asks {{ $labels.instance }} for certificates and cannot say who it is",
      description: "A pod with a wrong token audience, a clock that differs, or a stranger. The log has the address.",
    }),
  ],
};

const CONFIGURATION: RuleGroup = {
  name: "cardea-configuration",
  rules: [
    alert("CardeaPolicyStale", "warning", {
      expr: "cardea_policy_age_seconds > 300",
      for: "0m",
      summary: "{{ $labels.instance }} has not heard of its policies for {{ $value | humanizeDuration }}",
      description:
        "The control plane cannot be reached from there. What is in force stays so; changes do not arrive, and its certificate cannot be renewed either.",
    }),
    alert("CardeaPolicyRevisionSkew", "warning", {
      expr: "count(count by (revision) (cardea_policy_revision_info)) > 1",
      for: "10m",
      summary: "{{ $value }} policy revisions are in force at once",
      description:
        "A change is everywhere within seconds. `cardea status` shows who has which; a sidecar that refused one is counted in pilot_total_xds_rejects.",
    }),
    alert("CardeaConfigurationRefused", "warning", {
      expr: "sum by (instance, type) (increase(pilot_total_xds_rejects[10m])) > 0",
      for: "0m",
      summary: "Sidecars refused {{ $labels.type }} of {{ $labels.instance }}",
      description: "They go on with what they had. The sidecar's log and the control plane's have the reason.",
    }),
    alert("CardeaPolicyFaults", "warning", {
      expr: "cardea_policy_faults > 0 or cardea_registry_faults > 0",
      for: "5m",
      summary: "{{ $value }} faults keep documents from being in force",
      description: "The last good set stays. `cardea status` has file, line and reason.",
    }),
    alert("CardeaWebhookFails", "critical", {
      expr: `sum by (instance, path) (increase(cardea_admission_reviews_total{outcome="failed"}[10m])) > 0`,
      for: "0m",
      summary: "The webhook {{ $labels.path }} of {{ $labels.instance }} fails",
      description: "By a fault of ours; it refuses what it cannot judge, so pods may not start.",
    }),
    alert("CardeaPodsOutsideTheMesh", "warning", {
      expr: `cardea_meshless_pods{reason="no-sidecar"} > 0`,
      for: "10m",
      summary: "{{ $value }} pods have no sidecar where they should",
      description:
        "`cardea doctor` names them. They were there before the namespace was labelled, or nobody asked the webhook.",
    }),
    alert("CardeaClusterFault", "critical", {
      expr: "cardea_cluster_faults > 0",
      for: "5m",
      summary: "In the cluster: {{ $labels.fault }}",
      description: "`cardea doctor` says what it is and what to do.",
    }),
    alert("CardeaClusterNotFollowed", "warning", {
      expr: "cardea_kube_kinds_not_followed > 0",
      for: "10m",
      summary: "{{ $labels.instance }} is not told of {{ $value }} kinds by the Kubernetes API",
      description: "What it knows of them is getting old. `cardea status` names them.",
    }),
    alert("CardeaTokenKeysNotFetched", "warning", {
      expr: "increase(pilot_jwks_resolver_network_fetch_fail_total[30m]) > 0 and increase(pilot_jwks_resolver_network_fetch_success_total[30m]) == 0",
      for: "10m",
      summary: "{{ $labels.instance }} cannot fetch the keys of token issuers",
      description: "After some hours every token of such an issuer is refused.",
    }),
  ],
};

const TRAFFIC: RuleGroup = {
  name: "cardea-traffic",
  rules: [
    alert("CardeaDenialsSpike", "warning", {
      expr: `sum by (namespace, reason) (cardea:denials:rate5m) > 1 and sum by (namespace, reason) (cardea:denials:rate5m) > 5 * (sum by (namespace, reason) (avg_over_time(cardea:denials:rate5m[1h] offset 10m)) or 0 * sum by (namespace, reason) (cardea:denials:rate5m))`,
      for: "5m",
      summary: "{{ $value | humanize }} denials a second in {{ $labels.namespace }}: {{ $labels.reason }}",
      description:
        "Five times the hour before. A policy that was changed, a client that was, or somebody who tries doors: `cardea flows --verdict denied`, `cardea explain`.",
    }),
    alert("CardeaWouldDeny", "info", {
      expr: `sum by (namespace) (rate(cardea_decisions_total{verdict="would-deny"}[15m])) > 0`,
      for: "15m",
      summary: "Traffic in {{ $labels.namespace }} that enforcement would deny",
      description: "The mesh is in AUDIT. `cardea flows --verdict would-deny` shows what has to be granted first.",
    }),
    alert("CardeaErrorsHigh", "warning", {
      expr: "sum by (destination_service) (cardea:request_errors:rate5m) / sum by (destination_service) (cardea:requests:rate5m) > 0.05 and sum by (destination_service) (cardea:requests:rate5m) > 0.1",
      for: "10m",
      summary: "{{ $value | humanizePercentage }} of the requests to {{ $labels.destination_service }} fail",
      description: "5xx, or no answer at all. The response_flags of istio_requests_total tell who ended them.",
    }),
    alert("CardeaCircuitBreakerOpen", "warning", {
      expr: "sum by (destination_service, limit) (rate(cardea_circuit_breaks_total[5m])) > 0",
      for: "5m",
      summary: "Callers of {{ $labels.destination_service }} are at its bound on {{ $labels.limit }}",
      description: "A DestinationRule's connection pool, or the retry budget, refuses what is beyond it.",
    }),
    alert("CardeaWorkloadsLeftOut", "warning", {
      expr: "max by (destination_service) (cardea_outlier_ejections_active) > 0",
      for: "15m",
      summary: "Outlier detection leaves {{ $value }} workloads of {{ $labels.destination_service }} out",
      description: "They answered with errors and still do. cardea_outlier_ejections_total has the reason.",
    }),
  ],
};

const TELEMETRY: RuleGroup = {
  name: "cardea-telemetry",
  rules: [
    alert("CardeaFlowsLost", "warning", {
      expr: "sum by (instance, reason) (increase(cardea_flow_records_dropped_total[15m])) > 0 or sum by (instance) (increase(cardea_flow_lines_dropped_total[15m])) > 0",
      for: "0m",
      summary: "{{ $labels.instance }} has lost {{ $value | humanize }} flow records",
      description:
        "The collector, or who reads the file, does not keep up or is away. Traffic does not wait for either.",
    }),
    alert("CardeaFlowsRejected", "warning", {
      expr: "sum by (instance) (increase(cardea_flows_rejected_total[15m])) > 0",
      for: "0m",
      summary: "The collector {{ $labels.instance }} has refused flow records",
      description: "Malformed, or told by somebody whose certificate says that they are not theirs to tell.",
    }),
    alert("CardeaMetricOverflow", "info", {
      expr: "sum by (instance) (increase(cardea_metric_overflow_total[15m])) > 0",
      for: "15m",
      summary: "{{ $labels.instance }} counts more label sets than it may keep",
      description: `What is beyond the limit is counted with otel_metric_overflow="true".`,
    }),
    alert("CardeaEventLoopLags", "warning", {
      expr: "cardea:event_loop_lag_seconds:p99_5m > 0.1",
      for: "10m",
      summary: "One of a hundred moments finds {{ $labels.instance }} {{ $value | humanizeDuration }} late",
      description:
        "Every request through it waits as long. It has too little processor time, or something holds it up.",
    }),
    alert("CardeaEventLoopFull", "warning", {
      expr: "rate(cardea_event_loop_active_seconds_total[5m]) > 0.9",
      for: "10m",
      summary: "The one thread of {{ $labels.instance }} is busy {{ $value | humanizePercentage }} of the time",
      description: "More traffic than one process moves: more replicas of the workload share it.",
    }),
  ],
};

export const RULE_GROUPS: readonly RuleGroup[] = [RECORDED, IDENTITY, CONFIGURATION, TRAFFIC, TELEMETRY];

/** Who calls whom, for what is recorded. */
function edge(): string {
  return "source_workload, source_workload_namespace, destination_workload, destination_workload_namespace, destination_service";
}

function record(name: string, expr: string): RecordingRule {
  return { record: name, expr };
}

function alert(
  name: string,
  severity: Severity,
  { expr, for: wait, summary, description }: { expr: string; for: string; summary: string; description: string },
): AlertRule {
  return { alert: name, expr, for: wait, labels: { severity }, annotations: { summary, description } };
}
