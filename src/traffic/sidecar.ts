import {
  ignored,
  listOf,
  mapOf,
  object,
  oneOf,
  optional,
  parsed,
  refused,
  required,
  string,
  type ValueOf,
  withDefault,
} from "../core/schema.ts";
import { NETWORKING_API_VERSIONS } from "./api-versions.ts";
import { isWildcard, parseHost, suffixOf } from "./hosts.ts";
import { TRAFFIC_METADATA } from "./metadata.ts";

/** A networking.istio.io Sidecar: which services the sidecars of a namespace are told of. */
export interface SidecarScope {
  readonly kind: "Sidecar";
  /** The labels of the workloads that it is for; null: all of the namespace, in the root namespace of all others too. */
  readonly labels: ReadonlyMap<string, string> | null;
  /** What is reached; null: everything that is exported. */
  readonly egress: readonly EgressHost[] | null;
}

/** One entry `namespace/host`. */
export interface EgressHost {
  /** `*`: any. Never `.` or `~`. */
  readonly namespace: string;
  /** A full name, `*`, or `*.` and a name. */
  readonly host: string;
}

const EGRESS_HOST = parsed(string(), (text) => {
  const [namespace = "", host, ...others] = text.split("/");
  const isNamespace = /^([*.~]|[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)$/.test(namespace);
  if (isNamespace && host !== undefined && others.length === 0) return { namespace, host: parseHost(host) };
  throw new Error(`expected namespace/host, each may be \`*\`, found ${JSON.stringify(text)}`);
});

/** The rest of what Istio's has is about listeners, which sidecars here do not have one by one. */
const NO_LISTENERS = "is not supported: a Sidecar says here which services are reached";

export const SIDECAR = object({
  apiVersion: required(oneOf(...NETWORKING_API_VERSIONS)),
  kind: required(oneOf("Sidecar")),
  metadata: required(TRAFFIC_METADATA),
  spec: optional(
    object({
      workloadSelector: optional(object({ labels: required(mapOf(string({ allowEmpty: true }))) })),
      egress: optional(
        listOf(
          object({
            hosts: required(listOf(EGRESS_HOST, { minCount: 1 })),
            port: refused(NO_LISTENERS),
            bind: refused(NO_LISTENERS),
            captureMode: withDefault(oneOf("DEFAULT"), "DEFAULT"),
          }),
          { minCount: 1 },
        ),
      ),
      ingress: refused(NO_LISTENERS),
      inboundConnectionPool: refused(NO_LISTENERS),
      outboundTrafficPolicy: optional(
        object({
          mode: withDefault(oneOf("REGISTRY_ONLY"), "REGISTRY_ONLY"),
          egressProxy: refused(NO_LISTENERS),
        }),
      ),
    }),
  ),
  status: ignored(),
});

export function toSidecarScope({ spec }: ValueOf<typeof SIDECAR>, namespace: string): SidecarScope {
  const hosts = spec?.egress?.flatMap((each) => each.hosts) ?? null;
  return {
    kind: "Sidecar",
    labels: spec?.workloadSelector?.labels ?? null,
    egress:
      hosts
        ?.filter((each) => each.namespace !== "~")
        .map((each) => (each.namespace === "." ? { ...each, namespace } : each)) ?? null,
  };
}

/** Whether one of the entries names the service. */
export function reaches(egress: readonly EgressHost[], namespace: string, host: string): boolean {
  return egress.some((each) => {
    if (each.namespace !== "*" && each.namespace !== namespace) return false;
    return isWildcard(each.host) ? host.endsWith(suffixOf(each.host)) : host === each.host;
  });
}
