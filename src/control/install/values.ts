import { TOKEN_AUDIENCE } from "../../config/kube-control-config.ts";
import type { JsonObject, JsonValue } from "../../core/json-value.ts";
import { LIMITS } from "../../core/limits.ts";
import { DEFAULT_MESH_SETTINGS } from "../../policy/mesh-settings.ts";
import { DEFAULT_WEBHOOK_OPTIONS } from "../admission/webhook-configuration.ts";
import { resourcesOf } from "../inject/resources.ts";
import { DEFAULT_INJECT_SETTINGS } from "../inject/settings.ts";
import {
  AUDIENCE,
  choice,
  CIDR_WORD,
  DOMAIN,
  FLAG,
  IMAGE,
  list,
  NAME,
  OBJECTS,
  PROGRAM_WORD,
  QUANTITY,
  REVISION,
  TEXT_MAP,
  type ValueType,
  whole,
} from "./value-types.ts";

/** One setting of an installation. */
export interface Value {
  readonly type: ValueType;
  readonly default: JsonValue;
  /** One sentence. */
  readonly means: string;
}

const LEVEL = choice("debug", "info", "warn", "error");
const PULL = choice("Always", "IfNotPresent", "Never");
const INJECT = DEFAULT_INJECT_SETTINGS;

/** Every setting, by its path. The check, the defaults, the chart's schema and the reference are made of this table. */
export const VALUE_TABLE: Readonly<Record<string, Value>> = {
  image: value(IMAGE, INJECT.image, "The one image, of control plane and sidecars."),
  imagePullPolicy: value(PULL, INJECT.imagePullPolicy, "When nodes fetch the image."),
  imagePullSecrets: value(
    OBJECTS,
    [],
    "Secrets of the control plane's namespace to fetch the image with, as `[{name: registry}]`; pods with sidecars need their own.",
  ),
  revision: value(
    REVISION,
    "",
    "Installs beside what is there, under names of its own; serves namespaces with the label `cardea.dev/rev: <revision>`.",
  ),
  defaultRevision: value(
    FLAG,
    false,
    "With a revision: it serves namespaces with `cardea.dev/inject: enabled`, too, and judges policies.",
  ),
  "mesh.name": value(NAME, "kubernetes", "For people."),
  "mesh.trustDomain": value(DOMAIN, DEFAULT_MESH_SETTINGS.trustDomain, "First part of every identity."),
  "mesh.trustDomainAliases": value(list(DOMAIN), [], "Other names of the same trust domain."),
  "mesh.clusterDomain": value(DOMAIN, "cluster.local", "Under which the cluster's DNS has services."),
  "mesh.enforcement": value(
    choice("ENFORCE", "AUDIT"),
    DEFAULT_MESH_SETTINGS.enforcement,
    "AUDIT: denials are recorded as `would-deny`, and nothing is blocked.",
  ),
  "mesh.defaultAction": value(
    choice("DENY", "ALLOW"),
    DEFAULT_MESH_SETTINGS.defaultAction,
    "Holds where no ALLOW policy selects the workload.",
  ),
  "mesh.pathNormalization": value(
    choice("NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"),
    DEFAULT_MESH_SETTINGS.pathNormalization,
    "What paths are brought to before they are matched and forwarded.",
  ),
  "mesh.numTrustedProxies": value(
    whole(0, LIMITS.trustedProxiesMax),
    DEFAULT_MESH_SETTINGS.numTrustedProxies,
    "Proxies before the mesh that each add to `X-Forwarded-For`: `remoteIpBlocks` means the address so many from its right.",
  ),
  "mesh.extensionProviders": value(
    OBJECTS,
    [],
    "The servers that CUSTOM policies may name, as Istio's `meshConfig.extensionProviders` has those that authorize.",
  ),
  "mesh.tokenAudience": value(AUDIENCE, TOKEN_AUDIENCE, "Whom tokens that sidecars join with must be made for."),
  "mesh.bypassChecks": value(
    choice("audit", "enforce"),
    "audit",
    "Whether pods that go around the mesh are warned of or refused, where their namespace does not say.",
  ),
  "jwks.allowHttp": value(FLAG, false, "Keys of token issuers may be fetched without TLS."),
  "jwks.allowAddresses": value(
    list(CIDR_WORD),
    [],
    "Address blocks from which they may be fetched though they are loopback, link-local or a cloud's metadata.",
  ),
  "control.replicas": value(whole(1, 32), 1, "Replicas of the control plane."),
  "control.logLevel": value(LEVEL, "info", "What the control plane logs."),
  "control.resources.requests.cpu": value(QUANTITY, "100m", "Processor time that a replica is sure of."),
  "control.resources.requests.memory": value(QUANTITY, "256Mi", "Memory that a replica is sure of."),
  "control.resources.limits.cpu": value(QUANTITY, "2", "Processor time that a replica may take."),
  "control.resources.limits.memory": value(QUANTITY, "1Gi", "Memory that a replica may take."),
  "control.nodeSelector": value(TEXT_MAP, {}, "Labels of nodes that it may run on."),
  "control.tolerations": value(OBJECTS, [], "Taints of nodes that it may run on."),
  "control.disruptionBudget": value(FLAG, false, "Nodes are drained only while another replica is there."),
  "control.spread": value(FLAG, false, "Replicas keep apart: by node and by zone, where there are several."),
  "control.priorityClass": value(FLAG, false, "A PriorityClass of its own: it is evicted last, and comes back first."),
  "control.networkPolicy": value(FLAG, false, "A NetworkPolicy: only its ports in; only DNS and the API server out."),
  "flows.store": value(
    FLAG,
    true,
    "Sidecars send their flow records to the control plane, whose replicas each keep what they are sent, on an emptyDir.",
  ),
  "flows.sampleOneIn": value(
    whole(1, LIMITS.flowSampledFromMax),
    1,
    "Of flows that were simply allowed, sidecars send one in so many, which stands for all; denials and errors are sent each.",
  ),
  "flows.storeSize": value(
    QUANTITY,
    "3Gi",
    "The emptyDir of each replica's store; it is told to keep 2 GiB at the most.",
  ),
  "injection.logLevel": value(LEVEL, INJECT.logLevel, "What sidecars log."),
  "injection.sidecar": value(
    choice("auto", "native", "container"),
    "auto",
    "auto: native from Kubernetes 1.29, by the server's own version.",
  ),
  "injection.program": value(
    list(PROGRAM_WORD),
    INJECT.program,
    "How the program is called in the image, for hooks below Kubernetes 1.29.",
  ),
  "injection.tokenTtlSec": value(
    whole(600, 86_400),
    INJECT.tokenTtlSec,
    "Lifetime of the tokens that sidecars join with.",
  ),
  "injection.drainTimeoutSec": value(
    whole(1, 600),
    INJECT.drainTimeoutSec,
    "How long a sidecar that ends lets calls go on.",
  ),
  "injection.drainDelaySec": value(
    whole(0, 600),
    INJECT.drainDelaySec,
    "How long a sidecar that is a plain container goes on after SIGTERM, while its app ends.",
  ),
  ...resources("injection.proxyResources", resourcesOf(INJECT.proxyResources), "a sidecar"),
  ...resources("injection.redirectResources", resourcesOf(INJECT.redirectResources), "the redirect container"),
  "injection.guard": value(
    FLAG,
    true,
    "The API server itself refuses pods that nobody has injected and that should be: needs Kubernetes 1.30.",
  ),
  "injection.excludedNamespaces": value(
    list(NAME),
    DEFAULT_WEBHOOK_OPTIONS.excludedNamespaces,
    "Namespaces that never wait for the webhooks, and get no sidecars. The control plane's own is always one.",
  ),
  "monitoring.podMonitors": value(
    FLAG,
    false,
    "PodMonitors, by which Prometheus' operator has control plane and sidecars scraped; needs its kinds.",
  ),
  "monitoring.rules": value(
    FLAG,
    false,
    "A PrometheusRule with deploy/prometheus/rules.yaml; needs the operator's kinds.",
  ),
  "monitoring.dashboards": value(FLAG, false, "A ConfigMap with deploy/grafana/, labelled for Grafana's sidecar."),
  "monitoring.release": value(
    REVISION,
    "",
    "The label `release` on all three, by which kube-prometheus-stack picks what is its.",
  ),
};

/** What `--profile ha` sets. */
export const HA_PROFILE: Readonly<Record<string, JsonValue>> = {
  "control.replicas": 3,
  "control.resources.requests.cpu": "500m",
  "control.resources.requests.memory": "512Mi",
  "control.resources.limits.memory": "2Gi",
  "control.disruptionBudget": true,
  "control.spread": true,
  "control.priorityClass": true,
  "control.networkPolicy": true,
};

/** Paths and their values as a tree. */
export function treeOf(flat: Readonly<Record<string, JsonValue>>): JsonObject {
  let tree: JsonObject = {};
  for (const [path, found] of Object.entries(flat)) tree = withValue(tree, path.split("."), found);
  return tree;
}

export const DEFAULT_VALUES: JsonObject = treeOf(
  Object.fromEntries(Object.entries(VALUE_TABLE).map(([path, each]) => [path, each.default])),
);

/** As Helm does it: maps are joined, everything else is replaced. */
export function joinValues(below: JsonObject, above: JsonObject): JsonObject {
  const joined = Object.entries(above).map(([key, found]): [string, JsonValue] => {
    const before = Object.hasOwn(below, key) ? below[key] : undefined;
    return [key, isMap(before) && isMap(found) ? joinValues(before, found) : found];
  });
  return { ...below, ...Object.fromEntries(joined) };
}

function withValue(tree: JsonObject, [key, ...rest]: readonly string[], found: JsonValue): JsonObject {
  if (rest.length === 0) return { ...tree, [key!]: found };
  const below = tree[key!];
  return { ...tree, [key!]: withValue(isMap(below) ? below : {}, rest, found) };
}

function isMap(found: JsonValue | undefined): found is JsonObject {
  return typeof found === "object" && found !== null && !Array.isArray(found);
}

function resources(path: string, defaults: JsonObject, whose: string): Record<string, Value> {
  const entries = ["requests", "limits"].flatMap((kind) =>
    Object.entries((defaults[kind] ?? {}) as JsonObject).map(([what, amount]) => {
      const means = `What ${whose} ${kind === "requests" ? "is sure of" : "may take"}: ${what}.`;
      return [`${path}.${kind}.${what}`, value(QUANTITY, amount, means)] as const;
    }),
  );
  return Object.fromEntries(entries);
}

function value(type: ValueType, whenAbsent: JsonValue, means: string): Value {
  return { type, default: whenAbsent, means };
}
