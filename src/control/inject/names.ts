import { ISTIO_METRICS_PATH, POD_PORTS } from "../../core/pod-ports.ts";
import type { JsonObject } from "../../core/json-value.ts";

/** Names that injection puts into pods. Somebody else's under one of them is refused. */
export const CONTAINERS = { proxy: "cardea-proxy", redirect: "cardea-redirect" } as const;

export const VOLUMES = {
  /** Projected service-account token with the mesh's audience. */
  token: "cardea-token",
  /** The mesh's roots, from a ConfigMap. */
  root: "cardea-root",
  /** The pod's labels, by the downward API. */
  pod: "cardea-pod",
  /** Lies where the app's API token would be mounted into our containers: they have no use for one. */
  noApiToken: "cardea-no-api-token",
  /** Where the Workload API's socket is, for apps that ask for one. */
  identity: "cardea-identity",
} as const;

/** Written by injection: what it has added, and the sign that the names above are ours. */
export const STATUS_ANNOTATION = "cardea.dev/status";

/** Label (or annotation) of a pod and label of a namespace: whether pods are injected. */
export const INJECT_LABEL = "cardea.dev/inject";

/** Label of a namespace or pod: by which revision. It asks for injection, too. */
export const REVISION_LABEL = "cardea.dev/rev";

/** Annotation of a namespace: codes of ways around the mesh that its pods may have, separated by commas. */
export const ALLOWED_BYPASSES_ANNOTATION = "cardea.dev/allowed-bypasses";

/** kubectl's: which container `logs` and `exec` mean. */
export const DEFAULT_CONTAINER_ANNOTATION = "kubectl.kubernetes.io/default-container";

/** The sidecar's user and group; what they send is not redirected. */
export const PROXY_ID = 1_337;

/** Containers of other meshes: two sidecars in a pod would each take the other for the app. */
export const FOREIGN_SIDECARS: ReadonlyMap<string, string> = new Map([
  ["istio-proxy", "Istio"],
  ["istio-init", "Istio"],
  ["linkerd-proxy", "Linkerd"],
  ["linkerd-init", "Linkerd"],
]);

/** The name of a container, volume or the like; of one without a name the empty text. */
export function nameOf(item: JsonObject): string {
  const { name } = item;
  return typeof name === "string" ? name : "";
}

/** By these Prometheus finds what to scrape, where it is configured as Istio's own is: one port a pod. */
export const SCRAPE_ANNOTATIONS: Readonly<Record<string, string>> = {
  "prometheus.io/scrape": "true",
  "prometheus.io/port": String(POD_PORTS.metrics),
  "prometheus.io/path": ISTIO_METRICS_PATH,
};
