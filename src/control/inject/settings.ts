import { LIMITS } from "../../core/limits.ts";
import { IMAGE, imageReference } from "../../core/image.ts";
import type { Located } from "../../core/located.ts";
import type { LogLevel } from "../../core/ports.ts";
import {
  integer,
  listOf,
  object,
  oneOf,
  optional,
  parsed,
  required,
  type Scope,
  string,
  type ValueOf,
  withDefault,
} from "../../core/schema.ts";
import { parseTrustDomain } from "../../core/spiffe-id.ts";
import { parseQuantity } from "./quantity.ts";

/** What a mesh's injection is the same for in all pods. Webhook and `cardea inject` read one document of it. */
export type InjectSettings = Omit<ValueOf<typeof SPEC>, "sidecar"> & { readonly sidecar: SidecarMode };

export type Resources = ValueOf<typeof RESOURCES>;

/**
 * `native`: an init container with restartPolicy Always (Kubernetes 1.29 and later), which starts before and ends after
 * the app. `container`: a plain one beside the app, for older clusters.
 */
export type SidecarMode = "native" | "container";

/**
 * A document of kind InjectionSettings → settings, or null with every fault added. `auto` is what fits the cluster; files
 * know no cluster, and mean a new one.
 */
export function parseInjectSettings(
  document: Located,
  scope: Scope,
  auto: SidecarMode = "native",
): InjectSettings | null {
  const spec = DOCUMENT(document, scope)?.spec;
  return spec === undefined ? null : withMode(spec, auto);
}

/** `v1.31.2` → how its sidecars are made. Throws an Error that says what was expected. */
export function sidecarModeOf(kubernetesVersion: string): SidecarMode {
  const match = /^v?1\.(\d{1,3})(?:[.+-].*)?$/.exec(kubernetesVersion);
  if (match === null) throw new Error(`expected a version like 1.31, found ${JSON.stringify(kubernetesVersion)}`);
  return Number(match[1]) >= NATIVE_SINCE ? "native" : "container";
}

/** The minor version in which the feature SidecarContainers is on without being asked for. */
const NATIVE_SINCE = 29;

const QUANTITY = parsed(string(), (text) => {
  parseQuantity(text);
  return text;
});
const AMOUNTS = object({ cpu: optional(QUANTITY), memory: optional(QUANTITY) });
const NO_AMOUNTS = { cpu: null, memory: null };
const RESOURCES = object({ requests: withDefault(AMOUNTS, NO_AMOUNTS), limits: withDefault(AMOUNTS, NO_AMOUNTS) });

/** Istio's amounts: who plans a cluster for the one has planned it for the other. */
const PROXY_RESOURCES: Resources = {
  requests: { cpu: "100m", memory: "128Mi" },
  limits: { cpu: "2", memory: "1Gi" },
};

/** It runs for a moment, before everything else. */
const REDIRECT_RESOURCES: Resources = {
  requests: { cpu: "10m", memory: "64Mi" },
  limits: { cpu: "500m", memory: "256Mi" },
};

/** Where our own node agents and the cluster's run: an outage of ours must not keep them from starting. */
const EXCLUDED_NAMESPACES = ["kube-system", "kube-public", "kube-node-lease", "cardea-system"];

const SPEC = object({
  image: withDefault(string(), imageReference()),
  imagePullPolicy: withDefault(oneOf("Always", "IfNotPresent", "Never"), "IfNotPresent"),
  /** How the program is called in the image, for the hooks of a plain container. */
  program: withDefault(listOf(string(), { minCount: 1 }), [...IMAGE.program]),
  sidecar: withDefault(oneOf("auto", "native", "container"), "auto"),
  trustDomain: withDefault(parsed(string(), parseTrustDomain), parseTrustDomain("cluster.local")),
  /** host:port of the control plane, as pods resolve it. */
  controlAddress: withDefault(string(), "cardea-control.cardea-system.svc:15012"),
  /** host:port that sidecars send their flow records to; empty: nowhere. */
  flowCollector: withDefault(string(), ""),
  /** Of flows that were simply allowed, one in so many is sent there. */
  flowSampleOneIn: withDefault(integer({ min: 1, max: LIMITS.flowSampledFromMax }), 1),
  /** The namespace of the control plane, which is part of its SPIFFE ID. */
  rootNamespace: withDefault(string(), "cardea-system"),
  tokenAudience: withDefault(string(), "cardea"),
  tokenTtlSec: withDefault(integer({ min: 600, max: 86_400 }), 3_600),
  /** ConfigMap of each meshed namespace with the roots, under the key root-cert.pem. */
  rootConfigMap: withDefault(string(), "cardea-root-cert"),
  excludedNamespaces: withDefault(listOf(string()), EXCLUDED_NAMESPACES),
  logLevel: withDefault<LogLevel>(oneOf("debug", "info", "warn", "error"), "info"),
  drainTimeoutSec: withDefault(integer({ min: 1, max: 600 }), 5),
  /** How long a plain container goes on after SIGTERM, while the app beside it ends. */
  drainDelaySec: withDefault(integer({ min: 0, max: 600 }), 5),
  proxyResources: withDefault(RESOURCES, PROXY_RESOURCES),
  redirectResources: withDefault(RESOURCES, REDIRECT_RESOURCES),
});

const DOCUMENT = object({
  apiVersion: required(oneOf("cardea.dev/v1")),
  kind: required(oneOf("InjectionSettings")),
  spec: withDefault(SPEC, defaults()),
});

/** What holds without a document. */
export const DEFAULT_INJECT_SETTINGS: InjectSettings = Object.freeze(withMode(defaults(), "native"));

function withMode(spec: ValueOf<typeof SPEC>, auto: SidecarMode): InjectSettings {
  return { ...spec, sidecar: spec.sidecar === "auto" ? auto : spec.sidecar };
}

/** The schema of an empty map is its defaults. */
function defaults(): ValueOf<typeof SPEC> {
  const settings = SPEC({ kind: "map", at: null, entries: [] }, { file: "", field: "", faults: [] });
  if (settings === undefined) throw new Error("every setting has a default");
  return settings;
}
