import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { ADDRESS_TYPE, POLICY_SET_TYPE, POLICY_TYPE } from "../api/resource-types.ts";
import type { ErrorCode } from "../core/errors.ts";
import { type ExpositionOptions, formatExposition } from "../observe/exposition.ts";
import type { MetricSource } from "../observe/metric-source.ts";
import type { ClusterStatus } from "./admin.ts";
import type { AdmissionObserver } from "./admission/admission-route.ts";
import { WEBHOOK_PATHS } from "./admission/webhook-configuration.ts";
import type { IssuanceObserver } from "./ca/certificate-service.ts";
import type { DiscoveryObserver } from "./distribute/discovery-call.ts";
import type { FlowObserver } from "./flows/logs-service.ts";
import type { KeyObserver } from "./jwks/key-cache.ts";
import { CLUSTER_FAULT_TABLE } from "./kube/cluster-faults.ts";
import { CONTROL_METRIC_TABLE, type ControlMetricName, CONVERGENCE_BUCKETS } from "./metric-table.ts";
import { processRegistry } from "./process-metrics.ts";
import { registrySource } from "./registry-source.ts";
import type { SpanObserver } from "./traces/span-forwarder.ts";

/** What the control plane counts as it happens, and shows together with what it knows at the moment of a scrape. */
export interface ControlMetrics {
  readonly issuance: IssuanceObserver;
  readonly discovery: DiscoveryObserver;
  readonly admission: AdmissionObserver;
  readonly flows: FlowObserver;
  readonly keys: KeyObserver;
  readonly spans: SpanObserver;
  expose(facts: ControlFacts, options: ExpositionOptions): Promise<AsyncIterable<string>>;
}

/** What is so at a moment. */
export interface ControlFacts {
  readonly nowMs: number;
  readonly connectedSidecars: number;
  readonly services: number;
  /** Null: there has never been a good policy set. */
  readonly policyRevision: string | null;
  readonly policyFaults: number;
  readonly registryFaults: number;
  /** Null: not on Kubernetes. */
  readonly cluster: ClusterStatus | null;
  /** When the authority's certificates, and the one that the control plane shows, end. */
  readonly notAfterMs: { readonly root: number; readonly intermediate: number; readonly serving: number };
}

/** Counts from zero. prom-client's own metrics of the process come with it; a sidecar never loads it. */
export function createControlMetrics(version: string, ofTheProcess: readonly MetricSource[] = []): ControlMetrics {
  const registry = new Registry();
  const ofProcess = processRegistry();
  const { issuance, discovery } = createObservers(registry);
  const stored = counter(registry, "cardea_flows_stored_total");
  const rejected = counter(registry, "cardea_flows_rejected_total");
  const forwarded = counter(registry, "cardea_spans_forwarded_total");
  const dropped = counter(registry, "cardea_spans_forward_dropped_total");
  const admission = admissionCounters(registry);
  const [fetched, failed] = [
    counter(registry, "pilot_jwks_resolver_network_fetch_success_total"),
    counter(registry, "pilot_jwks_resolver_network_fetch_fail_total"),
  ];
  const showFacts = createGauges(registry, version);
  return {
    issuance,
    discovery,
    admission,
    flows: { stored: (flows) => stored.inc(flows), rejected: (flows) => rejected.inc(flows) },
    spans: {
      forwarded: (spans) => forwarded.inc(spans),
      dropped: (reason, spans) => dropped.inc({ reason }, spans),
    },
    keys: { fetched: () => fetched.inc(), failed: () => failed.inc() },
    async expose(facts, options) {
      showFacts(facts);
      const sources = await Promise.all([registrySource(registry), registrySource(ofProcess)]);
      return formatExposition([...sources, ...ofTheProcess], options);
    },
  };
}

function admissionCounters(registry: Registry): AdmissionObserver {
  const reviews = counter(registry, "cardea_admission_reviews_total");
  const valid = counter(registry, "galley_validation_passed");
  const invalid = counter(registry, "galley_validation_failed");
  const injected = counter(registry, "sidecar_injection_success_total");
  const failed = counter(registry, "sidecar_injection_failure_total");
  const ends = new Map<string, readonly [good: Counter, bad: Counter]>([
    [WEBHOOK_PATHS.inject, [injected, failed]],
    [WEBHOOK_PATHS.policies, [valid, invalid]],
  ]);
  return {
    reviewed(path, outcome) {
      reviews.inc({ path, outcome });
      ends.get(path)?.[outcome === "admitted" || outcome === "patched" ? 0 : 1].inc();
    },
  };
}

/** The word of a resource type in metrics: Istio's for what Istio has, ours for what is ours. */
const TYPE_WORDS: ReadonlyMap<string, string> = new Map([
  [ADDRESS_TYPE, "wds"],
  [POLICY_TYPE, "policy"],
  [POLICY_SET_TYPE, "policy_set"],
]);

function createObservers(registry: Registry): Pick<ControlMetrics, "issuance" | "discovery"> {
  const csrs = counter(registry, "citadel_server_csr_count");
  const issued = counter(registry, "citadel_server_success_cert_issuance_count");
  const unattested = counter(registry, "citadel_server_authentication_failure_count");
  const invalid = counter(registry, "citadel_server_csr_parsing_err_count");
  const failed = counter(registry, "citadel_server_csr_sign_err_count");
  const refusals: Partial<Record<ErrorCode, Counter>> = { "attestation-failed": unattested, "csr-invalid": invalid };
  const pushes = counter(registry, "pilot_xds_pushes");
  const rejects = counter(registry, "pilot_total_xds_rejects");
  for (const type of TYPE_WORDS.values()) for (const each of [pushes, rejects]) each.inc({ type }, 0);
  const convergence = new Histogram({
    ...describe("pilot_proxy_convergence_time"),
    registers: [registry],
    buckets: [...CONVERGENCE_BUCKETS],
  });
  return {
    issuance: {
      requested: () => csrs.inc(),
      issued: () => issued.inc(),
      refused: (code) => (refusals[code] ?? failed).inc(),
    },
    discovery: {
      pushed: (typeUrl) => pushes.inc({ type: TYPE_WORDS.get(typeUrl) ?? "unknown" }),
      rejected: (typeUrl) => rejects.inc({ type: TYPE_WORDS.get(typeUrl) ?? "unknown" }),
      converged: (afterMs) => convergence.observe(afterMs / 1_000),
    },
  };
}

const CLUSTER_FAULTS = Object.keys(CLUSTER_FAULT_TABLE);

/** The gauges without labels, from what is so at a scrape. */
const GAUGES = {
  pilot_xds: (facts) => facts.connectedSidecars,
  pilot_services: (facts) => facts.services,
  citadel_server_root_cert_expiry_timestamp: ({ notAfterMs }) => notAfterMs.root / 1_000,
  citadel_server_root_cert_expiry_seconds: ({ notAfterMs, nowMs }) => (notAfterMs.root - nowMs) / 1_000,
  citadel_server_cert_chain_expiry_timestamp: ({ notAfterMs }) => notAfterMs.intermediate / 1_000,
  citadel_server_cert_chain_expiry_seconds: ({ notAfterMs, nowMs }) => (notAfterMs.intermediate - nowMs) / 1_000,
  cardea_policy_faults: (facts) => facts.policyFaults,
  cardea_registry_faults: (facts) => facts.registryFaults,
  cardea_leader: ({ cluster }) => (cluster?.isLeader === true ? 1 : 0),
  cardea_kube_kinds_not_followed: ({ cluster }) => cluster?.notFollowed.length ?? 0,
} as const satisfies Partial<Record<ControlMetricName, (facts: ControlFacts) => number>>;

function createGauges(registry: Registry, version: string): (facts: ControlFacts) => void {
  const names = Object.keys(GAUGES) as (keyof typeof GAUGES)[];
  const plain = names.map((name) => ({ gauge: gauge(registry, name), read: GAUGES[name] }));
  const expiry = gauge(registry, "cardea_ca_expiry_seconds");
  const revision = gauge(registry, "cardea_policy_revision_info");
  const meshless = gauge(registry, "cardea_meshless_pods");
  const faults = gauge(registry, "cardea_cluster_faults");
  gauge(registry, "cardea_build_info").set({ version, node_version: process.version }, 1);
  gauge(registry, "istio_build").set({ component: "pilot", tag: version }, 1);
  gauge(registry, "pilot_info").set({ version }, 1);
  return (facts) => {
    for (const each of plain) each.gauge.set(each.read(facts));
    for (const [certificate, endMs] of Object.entries(facts.notAfterMs))
      expiry.set({ certificate }, (endMs - facts.nowMs) / 1_000);
    meshless.reset();
    for (const { reason } of facts.cluster?.meshless ?? []) meshless.inc({ reason });
    for (const fault of CLUSTER_FAULTS)
      faults.set({ fault }, facts.cluster?.faults.filter((each) => each.fault === fault).length ?? 0);
    // One revision at a time: the label of the one before must go.
    revision.reset();
    if (facts.policyRevision !== null) revision.set({ revision: facts.policyRevision }, 1);
  };
}

function counter(registry: Registry, name: ControlMetricName): Counter {
  return new Counter({ ...describe(name), registers: [registry] });
}

function gauge(registry: Registry, name: ControlMetricName): Gauge {
  return new Gauge({ ...describe(name), registers: [registry] });
}

function describe(name: ControlMetricName) {
  const { means, labels } = CONTROL_METRIC_TABLE[name];
  return { name, help: means, labelNames: [...labels] };
}
