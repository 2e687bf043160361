import { POD_FILES, POD_VARIABLES, type PodVariableName, WORKLOAD_SOCKET } from "../../config/pod-variables.ts";
import type { JsonObject, JsonValue } from "../../core/json-value.ts";
import { POD_PORTS } from "../../core/pod-ports.ts";
import { spiffeIdFor } from "../../core/spiffe-id.ts";
import type { PodOptions } from "./annotations.ts";
import { CONTAINERS, PROXY_ID, VOLUMES } from "./names.ts";
import type { KeptProbes } from "./probes.ts";
import { proxyResources } from "./resources.ts";
import type { InjectSettings } from "./settings.ts";

/** By this name monitoring finds the sidecars of all pods. */
export const SIDECAR_METRICS_PORT = "cardea-metrics";

export interface SidecarNeeds {
  readonly settings: InjectSettings;
  readonly options: PodOptions;
  /** `8080/http-web,9090`: CARDEA_PORTS. */
  readonly ports: string;
  readonly probes: KeptProbes;
  readonly gracePeriodSec: number;
}

/** How long an app waits for a certificate and policies before the pod is started anew. */
const START_TRIES = 600;

/**
 * The sidecar. All that the API server would fill in is written out, so that a second injection has nothing to change.
 * It passes Pod Security's `restricted`.
 */
export function sidecarContainer(needs: SidecarNeeds): JsonObject {
  const { settings, options } = needs;
  return {
    name: CONTAINERS.proxy,
    image: settings.image,
    imagePullPolicy: settings.imagePullPolicy,
    args: ["proxy"],
    ...(settings.sidecar === "native" ? nativeStart() : plainStart(settings)),
    ports: [{ name: SIDECAR_METRICS_PORT, containerPort: POD_PORTS.metrics, protocol: "TCP" }],
    env: environment(needs),
    resources: proxyResources(settings, options),
    readinessProbe: { ...askReadiness(), periodSeconds: 5, timeoutSeconds: 3, failureThreshold: 3 },
    securityContext: RESTRICTED,
    terminationMessagePath: "/dev/termination-log",
    terminationMessagePolicy: "FallbackToLogsOnError",
    volumeMounts: mounts(options),
  };
}

const RESTRICTED: JsonObject = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ["ALL"] },
  privileged: false,
  readOnlyRootFilesystem: true,
  runAsGroup: PROXY_ID,
  runAsNonRoot: true,
  runAsUser: PROXY_ID,
  seccompProfile: { type: "RuntimeDefault" },
};

/** The kubelet starts what comes after it once it is ready, and ends it once the app is gone. */
function nativeStart(): JsonObject {
  return {
    restartPolicy: "Always",
    startupProbe: { ...askReadiness(), periodSeconds: 1, timeoutSeconds: 1, failureThreshold: START_TRIES },
  };
}

/** The kubelet starts the next container when this hook has ended: not promised anywhere, but so it is. */
function plainStart({ program }: InjectSettings): JsonObject {
  const command = [...program, "ready", "--wait", `${START_TRIES}s`];
  return { lifecycle: { postStart: { exec: { command } } } };
}

function askReadiness(): JsonObject {
  return { httpGet: { path: "/healthz/ready", port: POD_PORTS.readiness, scheme: "HTTP" }, successThreshold: 1 };
}

function environment({ settings, options, ports, probes, gracePeriodSec }: SidecarNeeds): readonly JsonValue[] {
  const isPlain = settings.sidecar === "container";
  const drainDelaySec = isPlain ? Math.min(settings.drainDelaySec, Math.max(0, gracePeriodSec - 1)) : 0;
  const leftSec = Math.max(0, gracePeriodSec - drainDelaySec - 1);
  return [
    field("podName", "metadata.name"),
    field("namespace", "metadata.namespace"),
    field("serviceAccount", "spec.serviceAccountName"),
    field("podIps", "status.podIPs"),
    said("trustDomain", settings.trustDomain),
    said("controlAddress", settings.controlAddress),
    ...(settings.flowCollector === "" ? [] : [said("flowCollector", settings.flowCollector)]),
    ...(settings.flowSampleOneIn === 1 ? [] : [said("flowSampleOneIn", String(settings.flowSampleOneIn))]),
    said("controlId", spiffeIdFor(settings.trustDomain, settings.rootNamespace, "cardea-control")),
    said("logLevel", options.logLevel ?? settings.logLevel),
    said("drainTimeoutSec", String(Math.min(options.drainTimeout ?? settings.drainTimeoutSec, leftSec))),
    ...(isPlain ? [said("drainDelaySec", String(drainDelaySec))] : []),
    ...(ports === "" ? [] : [said("ports", ports)]),
    ...((options.opaquePorts ?? "") === "" ? [] : [said("opaquePorts", options.opaquePorts ?? "")]),
    ...(Object.keys(probes).length === 0 ? [] : [said("probes", JSON.stringify(probes))]),
    ...(options.workloadApi === true ? [said("workloadSocket", WORKLOAD_SOCKET.file)] : []),
    ...(options.concurrency === null ? [] : [{ name: "UV_THREADPOOL_SIZE", value: String(options.concurrency) }]),
  ];
}

function said(variable: PodVariableName, value: string): JsonObject {
  return { name: POD_VARIABLES[variable].name, value };
}

function field(variable: PodVariableName, fieldPath: string): JsonObject {
  return { name: POD_VARIABLES[variable].name, valueFrom: { fieldRef: { apiVersion: "v1", fieldPath } } };
}

function mounts(options: PodOptions): readonly JsonObject[] {
  return [
    { name: VOLUMES.token, mountPath: directoryOf(POD_FILES.token), readOnly: true },
    { name: VOLUMES.root, mountPath: directoryOf(POD_FILES.root), readOnly: true },
    { name: VOLUMES.pod, mountPath: directoryOf(POD_FILES.labels), readOnly: true },
    NO_API_TOKEN,
    ...(options.workloadApi === true ? [{ name: VOLUMES.identity, mountPath: WORKLOAD_SOCKET.directory }] : []),
  ];
}

/** The API server mounts the app's token into every container that has nothing at this place. */
export const NO_API_TOKEN: JsonObject = {
  name: VOLUMES.noApiToken,
  mountPath: "/var/run/secrets/kubernetes.io/serviceaccount",
  readOnly: true,
};

function directoryOf(file: string): string {
  return file.slice(0, file.lastIndexOf("/"));
}
