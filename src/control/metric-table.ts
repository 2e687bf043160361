/** One metric of the control plane: what Prometheus is told of it and what the generated reference says. */
export interface ControlMetric {
  readonly type: "counter" | "gauge" | "histogram";
  readonly labels: readonly string[];
  /** One sentence; it is the HELP line, too. */
  readonly means: string;
}

/**
 * Every metric of the control plane's own; those of its process are prom-client's. Where istiod has a metric of that
 * meaning the name is istiod's (istio.io, reference/commands/pilot-discovery: exported metrics), so that its boards and
 * alerts read us. docs/reference/metrics.md and the exposition come from here.
 */
export const CONTROL_METRIC_TABLE = {
  pilot_xds: metric("gauge", [], "Sidecars that are connected."),
  pilot_xds_pushes: metric("counter", ["type"], "Configuration sent to sidecars, by type: wds, policy, policy_set."),
  pilot_total_xds_rejects: metric("counter", ["type"], "Configuration that sidecars refused, by type."),
  pilot_proxy_convergence_time: metric(
    "histogram",
    [],
    "Seconds from a change to the moment at which a sidecar that it concerns has all of it in force.",
  ),
  pilot_info: metric("gauge", ["version"], "What runs here under istiod's name; always 1."),
  istio_build: metric(
    "gauge",
    ["component", "tag"],
    "What runs here under Istio's name: pilot, and the version; always 1.",
  ),
  galley_validation_passed: metric("counter", [], "Policies that the webhook took."),
  galley_validation_failed: metric("counter", [], "Policies that the webhook refused."),
  sidecar_injection_success_total: metric(
    "counter",
    [],
    "Pods that the webhook answered for, with a sidecar or without.",
  ),
  sidecar_injection_failure_total: metric("counter", [], "Pods that the webhook refused or could not answer for."),
  pilot_services: metric("gauge", [], "Services in the registry."),
  citadel_server_csr_count: metric("counter", [], "Certificate signing requests that came."),
  citadel_server_success_cert_issuance_count: metric("counter", [], "Certificates that were issued."),
  citadel_server_authentication_failure_count: metric("counter", [], "Requests whose sender could not be attested."),
  citadel_server_csr_parsing_err_count: metric("counter", [], "Requests that were malformed, weak or not their key's."),
  citadel_server_csr_sign_err_count: metric("counter", [], "Requests that failed for a reason of the authority's own."),
  citadel_server_root_cert_expiry_timestamp: metric("gauge", [], "Unix time at which the root certificate ends."),
  citadel_server_root_cert_expiry_seconds: metric("gauge", [], "Time left until the root certificate ends."),
  citadel_server_cert_chain_expiry_timestamp: metric(
    "gauge",
    [],
    "Unix time at which the intermediate certificate ends.",
  ),
  citadel_server_cert_chain_expiry_seconds: metric("gauge", [], "Time left until the intermediate certificate ends."),
  cardea_ca_expiry_seconds: metric(
    "gauge",
    ["certificate"],
    "Time left until a certificate of the control plane ends: root, intermediate, or serving, which it shows to sidecars.",
  ),
  cardea_policy_revision_info: metric(
    "gauge",
    ["revision"],
    "The policy set that is given to sidecars, as a label; always 1.",
  ),
  cardea_policy_faults: metric("gauge", [], "Faults for which the policy files as they are now are not in force."),
  cardea_registry_faults: metric("gauge", [], "Faults in the registry's files as they are now."),
  cardea_meshless_pods: metric(
    "gauge",
    ["reason"],
    "Pods without a sidecar in namespaces of the mesh: no-sidecar (a fault), opted-out, host-network.",
  ),
  cardea_flows_stored_total: metric("counter", [], "Flow records of sidecars that were stored."),
  cardea_flows_rejected_total: metric(
    "counter",
    [],
    "Flow records that were not taken: not their sender's to tell, or malformed.",
  ),
  cardea_spans_forwarded_total: metric("counter", [], "Spans of sidecars that the collector outside has taken."),
  cardea_spans_forward_dropped_total: metric(
    "counter",
    ["reason"],
    "Spans that it never got: rejected (not their sender's to tell; counted by request), refused by it, or ended (we did).",
  ),
  cardea_admission_reviews_total: metric(
    "counter",
    ["path", "outcome"],
    "Reviews that webhooks answered: admitted, patched, refused, unreadable, or failed by a fault of ours.",
  ),
  pilot_jwks_resolver_network_fetch_success_total: metric(
    "counter",
    [],
    "Key sets of token issuers that were fetched.",
  ),
  pilot_jwks_resolver_network_fetch_fail_total: metric(
    "counter",
    [],
    "Fetches of key sets that failed: after some hours of them every token of the issuer is refused.",
  ),
  cardea_leader: metric("gauge", [], "1: this replica does what one alone does (Kubernetes)."),
  cardea_kube_kinds_not_followed: metric(
    "gauge",
    [],
    "Kinds that the Kubernetes API does not tell us of now; what is known of them is getting old.",
  ),
  cardea_cluster_faults: metric(
    "gauge",
    ["fault"],
    "What is wrong in the cluster around us: root-missing, root-replaced, clock-differs, webhooks-absent, webhooks-changed.",
  ),
  cardea_build_info: metric("gauge", ["version", "node_version"], "What runs here; always 1."),
  cardea_event_loop_active_seconds_total: metric("counter", [], "Time in which the event loop was busy."),
  cardea_event_loop_lag_seconds: metric("histogram", [], "How late timers are called, sampled four times a second."),
} as const satisfies Record<string, ControlMetric>;

export type ControlMetricName = keyof typeof CONTROL_METRIC_TABLE;

/** Upper bounds of pilot_proxy_convergence_time in seconds: Istio's from 0.1 on, and finer ones below. */
export const CONVERGENCE_BUCKETS: readonly number[] = [0.01, 0.025, 0.05, 0.1, 0.5, 1, 3, 5, 10, 20, 30];

function metric<const Labels extends readonly string[]>(
  type: ControlMetric["type"],
  labels: Labels,
  means: string,
): ControlMetric & { readonly labels: Labels } {
  return { type, labels, means };
}
