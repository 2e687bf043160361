import { KUBE } from "../../core/kube-resources.ts";
import { apiVersionOf, type KubeApi, type KubeObject, type KubeResource } from "../../core/kube.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Clock, Logger, Random, Timer } from "../../core/ports.ts";
import type { PolicySource } from "../distribute/policy-source.ts";
import { list, record } from "./endpoint-facts.ts";
import { type Informer, openInformer } from "./informer.ts";

export interface KubePolicyOptions {
  readonly kube: KubeApi;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** A source that follows the cluster, to be closed. */
export interface KubePolicySource extends PolicySource {
  readonly informers: readonly Informer[];
  close(): void;
}

/** What says something to sidecars. A cluster may have any of these kinds, or none. */
export const POLICY_KINDS: readonly KubeResource[] = [
  KUBE.authorizationPolicies,
  KUBE.requestAuthentications,
  KUBE.peerAuthentications,
  KUBE.telemetries,
  KUBE.destinationRules,
  KUBE.virtualServices,
  KUBE.sidecars,
  KUBE.httpRoutes,
  KUBE.grpcRoutes,
];

/** `kubectl apply` of a directory makes one change. */
const COLLECT_MS = 50;

/**
 * Policies and traffic rules of the cluster as texts, each under the name `namespace/Kind/name`, so that the same engine
 * reads them that reads files, with the same messages.
 */
export function openKubePolicySource(options: KubePolicyOptions): KubePolicySource {
  const { kube, clock } = options;
  const texts = new Map<string, string>();
  const watchers = new Set<() => void>();
  let timer: Timer | null = null;

  function notify(): void {
    timer = null;
    for (const onChange of watchers) onChange();
  }

  const informers = POLICY_KINDS.map((resource) =>
    openInformer({
      ...options,
      api: kube,
      resource,
      isOptional: true,
      onChange(key, after, before) {
        const path = pathOf(resource, after ?? before!, key);
        if (after !== null && concernsMesh(resource, after)) texts.set(path, textOf(resource, after));
        else texts.delete(path);
        timer ??= clock.setTimer(COLLECT_MS, notify);
      },
    }),
  );

  return {
    path: "the cluster",
    informers,
    async read() {
      await Promise.all(informers.map((informer) => informer.synced));
      const files = [...texts].map(([path, text]) => ({ path, text }));
      if (files.length <= LIMITS.policiesMax) return { files: files.toSorted(byPath), faults: [] };
      const message = `holds more than ${LIMITS.policiesMax} policies and traffic rules`;
      return { files: [], faults: [{ file: "the cluster", line: null, column: null, field: "", message }] };
    },
    watch(onChange) {
      watchers.add(onChange);
      return { close: () => void watchers.delete(onChange) };
    },
    close() {
      timer?.cancel();
      for (const informer of informers) informer.close();
    },
  };
}

/**
 * Rules for a gateway are the gateway's: those are no fault, and concern no sidecar. Of Telemetry access logging is all that
 * is read, and clusters are full of those that speak of traces: one more fault in them would hold up every policy.
 */
function concernsMesh(resource: KubeResource, object: KubeObject): boolean {
  const spec = record(object["spec"]);
  if (resource === KUBE.telemetries) return spec["accessLogging"] !== undefined;
  if (resource === KUBE.httpRoutes || resource === KUBE.grpcRoutes)
    return list(spec["parentRefs"]).some((parent) => record(parent)["kind"] === "Service");
  if (resource !== KUBE.virtualServices) return true;
  const gateways = list(spec["gateways"]);
  return gateways.length === 0 || gateways.includes("mesh");
}

function pathOf({ kind }: KubeResource, object: KubeObject, key: string): string {
  const { namespace, name } = object.metadata;
  return namespace === undefined ? `${kind}/${key}` : `${namespace}/${kind}/${name}`;
}

/** What a person wrote of it; what the server adds would make a revision of each write to its status. */
function textOf(resource: KubeResource, object: KubeObject): string {
  const { name, namespace, labels, annotations = {} } = object.metadata;
  const own = Object.entries(annotations).filter(([key]) => key !== "kubectl.kubernetes.io/last-applied-configuration");
  return JSON.stringify({
    apiVersion: apiVersionOf(resource),
    kind: resource.kind,
    metadata: { name, namespace, labels, annotations: own.length === 0 ? undefined : Object.fromEntries(own) },
    spec: object["spec"] ?? {},
  });
}

function byPath(left: { readonly path: string }, right: { readonly path: string }): number {
  return left.path < right.path ? -1 : left.path > right.path ? 1 : 0;
}
