import type { JsonObject } from "../core/json-value.ts";
import { LIMITS } from "../core/limits.ts";

interface PodVariable {
  readonly name: string;
  /** What stands for it when it is not set; null: it must be set. */
  readonly whenAbsent: string | null;
  readonly means: string;
}

/**
 * What a sidecar in a pod is told by its environment. Injection sets them, pod-config.ts reads them, and
 * docs/reference/annotations.md lists them. Nothing here is a secret: whoever may read the pod reads it all.
 */
export const POD_VARIABLES = {
  podName: variable("CARDEA_POD_NAME", null, "The pod's name (downward API)."),
  namespace: variable("CARDEA_POD_NAMESPACE", null, "The pod's namespace (downward API)."),
  serviceAccount: variable("CARDEA_SERVICE_ACCOUNT", null, "The pod's service account (downward API)."),
  podIps: variable("CARDEA_POD_IPS", null, "The pod's addresses, by commas (downward API)."),
  trustDomain: variable("CARDEA_TRUST_DOMAIN", "cluster.local", "The mesh's trust domain."),
  controlAddress: variable("CARDEA_CONTROL_ADDRESS", null, "Where the control plane is, as `host:port`."),
  flowCollector: variable(
    "CARDEA_FLOW_COLLECTOR",
    "",
    "Where the sidecar sends its flow records (OTLP over gRPC), as `host:port`; empty: it writes them to its log alone.",
  ),
  flowSampleOneIn: variable(
    "CARDEA_FLOW_SAMPLE_ONE_IN",
    "1",
    "Of flows that were simply allowed, the collector is sent one in so many, which stands for all; never fewer of the others.",
  ),
  controlId: variable("CARDEA_CONTROL_ID", null, "The SPIFFE ID that the control plane must prove."),
  ports: variable("CARDEA_PORTS", "", "The app's container ports, as `8080/http-web,9090`: number and name."),
  opaquePorts: variable("CARDEA_OPAQUE_PORTS", "", "Ports and ranges that carry opaque bytes."),
  probes: variable("CARDEA_PROBES", "{}", "The app's probes as JSON: path → handler, port and time-out."),
  logLevel: variable("CARDEA_LOG_LEVEL", "info", "`debug`, `info`, `warn` or `error`."),
  drainTimeoutSec: variable(
    "CARDEA_DRAIN_TIMEOUT_SECONDS",
    String(LIMITS.drainTimeoutMs / 1_000),
    "How long what is under way may take once the sidecar is told to end.",
  ),
  drainDelaySec: variable("CARDEA_DRAIN_DELAY_SECONDS", "0", "How long the sidecar goes on before it begins to end."),
  certTtlSec: variable("CARDEA_CERT_TTL_SECONDS", "3600", "The lifetime that it asks for in its certificates."),
  protocolDetectionMs: variable(
    "CARDEA_PROTOCOL_DETECTION_MS",
    String(LIMITS.protocolDetectionMs),
    "How long a client may be silent on a port of no declared protocol.",
  ),
  workloadSocket: variable(
    "CARDEA_WORKLOAD_SOCKET",
    "",
    "Where the sidecar serves the app's identity (SPIFFE Workload API), as a path.",
  ),
} as const satisfies Record<string, PodVariable>;

export type PodVariableName = keyof typeof POD_VARIABLES;

/** Files of a pod's sidecar; injection mounts them here. */
export const POD_FILES = {
  /** Projected service-account token with the mesh's audience; the kubelet renews it. */
  token: "/var/run/secrets/tokens/cardea-token",
  /** The roots to trust, PEM. */
  root: "/var/run/secrets/cardea/root-cert.pem",
  /** The pod's labels (downward API); the kubelet follows their changes, a running sidecar does not. */
  labels: "/etc/cardea/pod/labels",
} as const;

/** Where the app finds its identity (SPIFFE Workload API), when it asks for one. */
export const WORKLOAD_SOCKET = { directory: "/run/cardea", file: "/run/cardea/workload.sock" } as const;

/** One entry of CARDEA_PROBES: the handler as the manifest has it, so that nothing is lost, and its port as a number. */
export interface KeptProbe extends JsonObject {
  readonly handler: JsonObject;
  readonly port: number;
  readonly timeoutSeconds: number;
}

function variable(name: string, whenAbsent: string | null, means: string): PodVariable {
  return { name, whenAbsent, means };
}
