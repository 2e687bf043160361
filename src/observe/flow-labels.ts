import { ERROR_TABLE, type ErrorCode } from "../core/errors.ts";
import type { FlowPeer, FlowReason, FlowRecord, Verdict } from "./flow.ts";

/** Istio's word where a value is not known. */
export const UNKNOWN = "unknown";

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
  "service-registered": "-",
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

function workloadLabels(peer: FlowPeer): readonly string[] {
  return [
    peer.workload ?? UNKNOWN,
    peer.namespace ?? UNKNOWN,
    peer.principal ?? UNKNOWN,
    peer.labels?.["app"] ?? UNKNOWN,
    peer.labels?.["version"] ?? UNKNOWN,
  ];
}

/** istio.io, ops/configuration/telemetry: canonical services. */
function canonicalLabels(peer: FlowPeer): readonly string[] {
  const { labels } = peer;
  return [
    labels?.["service.istio.io/canonical-name"] ??
      labels?.["app.kubernetes.io/name"] ??
      labels?.["app"] ??
      peer.workload ??
      UNKNOWN,
    labels?.["service.istio.io/canonical-revision"] ??
      labels?.["app.kubernetes.io/version"] ??
      labels?.["version"] ??
      "latest",
  ];
}

function serviceLabels(peer: FlowPeer): readonly string[] {
  if (peer.service === null) return [UNKNOWN, UNKNOWN, peer.namespace ?? UNKNOWN];
  const [name, namespace] = peer.service.split(".");
  return [peer.service, name ?? UNKNOWN, namespace ?? peer.namespace ?? UNKNOWN];
}
