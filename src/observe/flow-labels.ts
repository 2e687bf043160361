import { ERROR_TABLE, type ErrorCode } from "../core/errors.ts";
import type { FlowLabels, FlowPeer, FlowReason, FlowRecord, Verdict } from "./flow.ts";

/** Istio's word where a value is not known. */
export const UNKNOWN = "unknown";
/** And for the revision of a workload that has no version. */
const NO_REVISION = "latest";

/**
 * The cluster of whatever is known. It is one, and this is Istio's name of it where nobody gave another; Kiali asks for
 * that one, and leaves out traffic of a known namespace in an unknown cluster.
 */
const CLUSTER = "Kubernetes";

/** What of a flow names the pair of workloads it ran between. */
export type FlowPair = Pick<FlowRecord, "reporter" | "source" | "destination" | "tls">;

/** Values of PAIR_LABELS, in their order. */
export function pairLabelValues(pair: FlowPair, protocol: string): readonly string[] {
  return [
    pair.reporter,
    ...workloadLabels(pair.source),
    ...canonicalLabels(pair.source),
    ...workloadLabels(pair.destination),
    ...serviceLabels(pair.destination),
    ...canonicalLabels(pair.destination),
    protocol,
    pair.tls.version === null ? "none" : "mutual_tls",
  ];
}

/** The same for events whose own labels would be one series too many. */
export function overflowLabelValues(pair: FlowPair, protocol: string): readonly string[] {
  return pairLabelValues(pair, protocol).map((value, index, all) =>
    index === 0 || index >= all.length - 2 ? value : UNKNOWN,
  );
}

const DECISION_FLAGS: Readonly<Record<Exclude<FlowReason, ErrorCode>, string>> = {
  "allow-rule-matched": "-",
  "break-glass": "-",
  "service-registered": "-",
  "route-answered": "-",
  "custom-denied": ERROR_TABLE["denied-by-policy"].flag,
  "custom-failed": ERROR_TABLE["denied-by-policy"].flag,
  "deny-rule-matched": ERROR_TABLE["denied-by-policy"].flag,
  "no-allow-rule-matched": ERROR_TABLE["denied-by-policy"].flag,
  "default-action": ERROR_TABLE["denied-by-policy"].flag,
};

/** Envoy's response flag of an outcome: `-` when nothing was amiss. */
export function responseFlagOf(verdict: Verdict, reason: FlowReason): string {
  if (isErrorCode(reason)) return ERROR_TABLE[reason].flag;
  return verdict === "denied" ? DECISION_FLAGS[reason] : "-";
}

function isErrorCode(reason: FlowReason): reason is ErrorCode {
  return Object.hasOwn(ERROR_TABLE, reason);
}

/**
 * `app` and `version` are the canonical service's for either side, as in Istio's ztunnel: of a far workload nothing else
 * is known, and the two reporters of a flow must tell the same. `version` is unknown where there is none, not "latest".
 */
function workloadLabels(peer: FlowPeer): readonly string[] {
  const revision = canonicalRevision(peer);
  return [
    peer.workload ?? UNKNOWN,
    peer.namespace ?? UNKNOWN,
    peer.principal ?? UNKNOWN,
    peer.labels === null ? UNKNOWN : canonicalName(peer),
    peer.labels === null || revision === NO_REVISION ? UNKNOWN : revision,
    peer.namespace === null && peer.service === null ? UNKNOWN : CLUSTER,
  ];
}

function canonicalLabels(peer: FlowPeer): readonly string[] {
  return [canonicalName(peer), canonicalRevision(peer)];
}

/** istio.io, ops/configuration/telemetry: canonical services. */
function canonicalName({ labels, workload }: FlowPeer): string {
  const names = ["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"];
  return firstOf(labels, names) ?? workload ?? UNKNOWN;
}

function canonicalRevision({ labels }: FlowPeer): string {
  const names = ["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"];
  return firstOf(labels, names) ?? NO_REVISION;
}

function firstOf(labels: FlowLabels | null, names: readonly string[]): string | undefined {
  return names.map((name) => labels?.[name]).find((value) => value !== undefined && value !== "");
}

function serviceLabels(peer: FlowPeer): readonly string[] {
  if (peer.service === null) return [UNKNOWN, UNKNOWN, peer.namespace ?? UNKNOWN];
  const [name, namespace] = peer.service.split(".");
  return [peer.service, name ?? UNKNOWN, namespace ?? peer.namespace ?? UNKNOWN];
}
