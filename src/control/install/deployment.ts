import { FLOWS_DIRECTORY } from "../../config/kube-control-config.ts";
import { IMAGE } from "../../core/image.ts";
import type { JsonObject } from "../../core/json-value.ts";
import { CONFIG_KEYS, READ_ONCE } from "./configuration.ts";
import { CONTROL, CONTROL_PORTS, LABELS, SELECTOR, withRevision } from "./names.ts";
import { digest, isSet, namespace, type Template, type TemplateMap, value, when } from "./template.ts";

/** Where the ConfigMap is mounted. */
const CONFIG_DIRECTORY = "/etc/cardea";

/** The control plane. It passes Pod Security's `restricted`. */
export function deployment(): TemplateMap {
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: CONTROL, namespace, labels: { ...LABELS, ...SELECTOR } },
    spec: {
      replicas: value("control.replicas"),
      selector: { matchLabels: SELECTOR },
      // One more first: sidecars always find somebody, and a new version that does not start replaces nobody.
      strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      template: { metadata: { labels: { ...LABELS, ...SELECTOR }, annotations: annotations() }, spec: pod() },
    },
  };
}

/** The Service by which sidecars, the API server and Prometheus find it. */
export function service(): TemplateMap {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: CONTROL, namespace, labels: { ...LABELS, ...SELECTOR } },
    spec: {
      selector: SELECTOR,
      ports: [
        servicePort("grpc-xds", CONTROL_PORTS.grpc, "grpc"),
        servicePort("http-metrics", CONTROL_PORTS.metrics, "http"),
        servicePort("https-webhooks", CONTROL_PORTS.webhooks, "https"),
        servicePort("grpc-otlp", CONTROL_PORTS.flows, "grpc"),
      ],
    },
  };
}

function annotations(): TemplateMap {
  return {
    // What is read once only makes new pods when it changes.
    "cardea.dev/configuration": digest(...READ_ONCE),
    "prometheus.io/scrape": "true",
    "prometheus.io/port": String(CONTROL_PORTS.metrics),
  };
}

function pod(): TemplateMap {
  return {
    serviceAccountName: CONTROL,
    automountServiceAccountToken: true,
    // Without them: an environment of a hundred variables of services that nobody reads.
    enableServiceLinks: false,
    terminationGracePeriodSeconds: 30,
    priorityClassName: when(isSet("control.priorityClass"), withRevision("cardea-control")),
    imagePullSecrets: when(isSet("imagePullSecrets"), value("imagePullSecrets")),
    nodeSelector: when(isSet("control.nodeSelector"), value("control.nodeSelector")),
    tolerations: when(isSet("control.tolerations"), value("control.tolerations")),
    affinity: when(isSet("control.spread"), affinity()),
    topologySpreadConstraints: when(isSet("control.spread"), [spreadOver("topology.kubernetes.io/zone")]),
    securityContext: {
      runAsNonRoot: true,
      runAsUser: IMAGE.user.uid,
      runAsGroup: IMAGE.user.gid,
      seccompProfile: { type: "RuntimeDefault" },
    },
    containers: [container()],
    volumes: [
      {
        name: "config",
        configMap: { name: CONTROL, items: [{ key: CONFIG_KEYS.control, path: CONFIG_KEYS.control }] },
      },
      // What a replica was told is gone with its pod: a cluster that wants more has its own collector.
      { name: "flows", emptyDir: { sizeLimit: value("flows.storeSize") } },
    ],
  };
}

function container(): TemplateMap {
  return {
    name: "cardea-control",
    image: value("image"),
    imagePullPolicy: value("imagePullPolicy"),
    args: ["control", "--kubernetes", "--config", `${CONFIG_DIRECTORY}/${CONFIG_KEYS.control}`],
    env: [field("CARDEA_POD_NAME", "metadata.name"), field("CARDEA_POD_NAMESPACE", "metadata.namespace")],
    ports: [
      { name: "grpc-xds", containerPort: CONTROL_PORTS.grpc, protocol: "TCP" },
      { name: "http-metrics", containerPort: CONTROL_PORTS.metrics, protocol: "TCP" },
      { name: "https-webhooks", containerPort: CONTROL_PORTS.webhooks, protocol: "TCP" },
      { name: "grpc-otlp", containerPort: CONTROL_PORTS.flows, protocol: "TCP" },
    ],
    // It opens its ports when it has listed the cluster, which takes what it takes.
    startupProbe: { ...askReady(), periodSeconds: 1, failureThreshold: 300 },
    readinessProbe: { ...askReady(), periodSeconds: 5, failureThreshold: 3 },
    livenessProbe: { ...askReady(), periodSeconds: 10, failureThreshold: 6 },
    resources: value("control.resources"),
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ["ALL"] },
      readOnlyRootFilesystem: true,
    },
    terminationMessagePolicy: "FallbackToLogsOnError",
    volumeMounts: [
      { name: "config", mountPath: CONFIG_DIRECTORY, readOnly: true },
      { name: "flows", mountPath: FLOWS_DIRECTORY },
    ],
  };
}

function askReady(): JsonObject {
  return { httpGet: { path: "/readyz", port: CONTROL_PORTS.metrics, scheme: "HTTP" }, timeoutSeconds: 3 };
}

function field(name: string, fieldPath: string): JsonObject {
  return { name, valueFrom: { fieldRef: { fieldPath } } };
}

/** A wish: three replicas must still run on two nodes. */
function affinity(): TemplateMap {
  const term = { labelSelector: { matchLabels: SELECTOR }, topologyKey: "kubernetes.io/hostname" };
  return {
    podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 100, podAffinityTerm: term }] },
  };
}

function spreadOver(topologyKey: string): Template {
  return {
    maxSkew: 1,
    topologyKey,
    whenUnsatisfiable: "ScheduleAnyway",
    labelSelector: { matchLabels: SELECTOR },
  };
}

function servicePort(name: string, port: number, appProtocol: string): JsonObject {
  return { name, port, targetPort: port, protocol: "TCP", appProtocol };
}
