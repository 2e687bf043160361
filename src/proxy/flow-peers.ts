import type { Address } from "../core/ports.ts";
import { type SpiffeId, workloadNameOf } from "../core/spiffe-id.ts";
import type { FlowLabels, FlowPeer } from "../observe/flow.ts";
import type { Endpoint, RegistrySnapshot, Service, WorkloadNames } from "./discovery/registry-snapshot.ts";

/** This sidecar's own workload, as its configuration says. */
export interface OwnWorkload {
  readonly name: string;
  readonly namespace: string;
  readonly labels: FlowLabels;
}

export interface OwnFacts {
  readonly workload: OwnWorkload;
  readonly principal: SpiffeId | null;
  readonly service: string | null;
}

/** Our own side of a flow. */
export function ownPeer(at: Address, { workload, principal, service }: OwnFacts): FlowPeer {
  const { name, namespace, labels } = workload;
  return Object.freeze({ ip: at.host, port: at.port, principal, namespace, workload: name, service, labels });
}

/** A caller that has proved an identity, or (null) none. */
export function callerPeer(at: Address, principal: SpiffeId | null, registry: RegistrySnapshot): FlowPeer {
  const base = { ip: at.host, port: at.port, service: null };
  if (principal === null) return Object.freeze({ ...base, principal, namespace: null, workload: null, labels: null });
  const names = registry.workloadsOf(principal)[0];
  const fromId = workloadNameOf(principal);
  return Object.freeze({
    ...base,
    principal,
    namespace: fromId?.namespace ?? null,
    workload: names?.workload ?? fromId?.serviceAccount ?? null,
    labels: names === undefined ? null : labelsOf(names),
  });
}

/** A workload that was chosen to send to. */
export function endpointPeer(endpoint: Endpoint, service: Service): FlowPeer {
  return Object.freeze({
    ip: endpoint.address,
    port: endpoint.containerPort,
    principal: endpoint.spiffeId,
    namespace: endpoint.namespace,
    workload: endpoint.workload,
    service: service.fqdn,
    labels: labelsOf(endpoint),
  });
}

/** Of a far workload's labels the registry tells what they come to, not which they are. */
function labelsOf({ canonicalName, revision }: Pick<WorkloadNames, "canonicalName" | "revision">): FlowLabels {
  return Object.freeze({
    "service.istio.io/canonical-name": canonicalName,
    "service.istio.io/canonical-revision": revision,
  });
}

/** A destination that could not be found out. */
export function unknownPeer(at: Address): FlowPeer {
  const nothing = { principal: null, namespace: null, workload: null, service: null, labels: null };
  return Object.freeze({ ip: at.host, port: at.port, ...nothing });
}
