import {
  CIDR_LIST,
  CIDR_LIST_OR_ALL,
  FOREIGN_LOG_LEVEL,
  LOG_LEVEL,
  PORT_LIST,
  PORT_LIST_OR_ALL,
  QUANTITY,
  SECONDS,
  SWITCH,
  type ValueKind,
  wholeNumber,
} from "./annotation-values.ts";

export interface Annotation<T> {
  readonly key: string;
  readonly value: ValueKind<T>;
  /** Istio's and Linkerd's names for the same. */
  readonly aliases: readonly Alias<T>[];
  /** What holds without it, for the reference. */
  readonly whenAbsent: string;
  readonly means: string;
}

export interface Alias<T> {
  readonly key: string;
  /** Where it is written in another way. */
  readonly value: ValueKind<T>;
}

/** Of annotations that are ours alone, so that an unknown one is a slip of the hand. */
export const OWN_PREFIX = "cardea.dev/";

const ISTIO = "sidecar.istio.io";
const ISTIO_TRAFFIC = `traffic.${ISTIO}`;
const LINKERD = "config.linkerd.io";

/** Every annotation of a pod, or of its namespace for all of its pods. docs/reference/annotations.md is made from it. */
export const ANNOTATIONS = {
  inboundPorts: annotation("inbound-ports", PORT_LIST_OR_ALL, [`${ISTIO_TRAFFIC}/includeInboundPorts`], {
    whenAbsent: "`*`",
    means: "Ports of the app that only the mesh reaches. Any other port takes plaintext from anybody.",
  }),
  excludeInboundPorts: annotation(
    "exclude-inbound-ports",
    PORT_LIST,
    [`${ISTIO_TRAFFIC}/excludeInboundPorts`, `${LINKERD}/skip-inbound-ports`],
    { whenAbsent: "none", means: "Ports of the app that bypass the sidecar: plaintext, no policy, no record." },
  ),
  outboundPorts: annotation("outbound-ports", PORT_LIST, [`${ISTIO_TRAFFIC}/includeOutboundPorts`], {
    whenAbsent: "none",
    means: "Destination ports that go through the sidecar whatever range their address is in.",
  }),
  excludeOutboundPorts: annotation(
    "exclude-outbound-ports",
    PORT_LIST,
    [`${ISTIO_TRAFFIC}/excludeOutboundPorts`, `${LINKERD}/skip-outbound-ports`],
    { whenAbsent: "none", means: "Destination ports that bypass the sidecar." },
  ),
  outboundCidrs: annotation("outbound-cidrs", CIDR_LIST_OR_ALL, [`${ISTIO_TRAFFIC}/includeOutboundIPRanges`], {
    whenAbsent: "`*`",
    means: "Destination ranges that go through the sidecar. Any other is reached directly.",
  }),
  excludeOutboundCidrs: annotation(
    "exclude-outbound-cidrs",
    CIDR_LIST,
    [`${ISTIO_TRAFFIC}/excludeOutboundIPRanges`, `${LINKERD}/skip-subnets`],
    { whenAbsent: "none", means: "Destination ranges that bypass the sidecar." },
  ),
  opaquePorts: annotation("opaque-ports", PORT_LIST, [`${LINKERD}/opaque-ports`], {
    whenAbsent: "none",
    means: "Ports of the app whose bytes are not looked into: policy sees connections, not requests.",
  }),
  cpuRequest: annotation("proxy-cpu-request", QUANTITY, [`${ISTIO}/proxyCPU`, `${LINKERD}/proxy-cpu-request`], {
    whenAbsent: "the mesh's",
    means: "CPU that the sidecar requests.",
  }),
  cpuLimit: annotation("proxy-cpu-limit", QUANTITY, [`${ISTIO}/proxyCPULimit`, `${LINKERD}/proxy-cpu-limit`], {
    whenAbsent: "the mesh's",
    means: "CPU that the sidecar may use.",
  }),
  memoryRequest: annotation(
    "proxy-memory-request",
    QUANTITY,
    [`${ISTIO}/proxyMemory`, `${LINKERD}/proxy-memory-request`],
    { whenAbsent: "the mesh's", means: "Memory that the sidecar requests." },
  ),
  memoryLimit: annotation(
    "proxy-memory-limit",
    QUANTITY,
    [`${ISTIO}/proxyMemoryLimit`, `${LINKERD}/proxy-memory-limit`],
    { whenAbsent: "the mesh's", means: "Memory that the sidecar may use." },
  ),
  logLevel: annotation("log-level", LOG_LEVEL, [], {
    whenAbsent: "the mesh's",
    means: "What the sidecar logs of itself; flow records are always written.",
    aliases: [`${ISTIO}/logLevel`, `${LINKERD}/proxy-log-level`].map((key) => ({ key, value: FOREIGN_LOG_LEVEL })),
  }),
  concurrency: annotation("concurrency", wholeNumber(1, 64), [], {
    whenAbsent: "Node's 4",
    means:
      "Threads beside the one that serves requests (file access, name look-ups). One thread serves requests, whatever stands here.",
  }),
  drainTimeout: annotation("drain-timeout", SECONDS, [`${LINKERD}/shutdown-grace-period`], {
    whenAbsent: "the mesh's",
    means: "How long what is under way may take once the sidecar is told to end.",
  }),
  rewriteProbes: annotation("rewrite-probes", SWITCH, [`${ISTIO}/rewriteAppHTTPProbers`], {
    whenAbsent: "`true`",
    means: "Whether the sidecar makes the kubelet's probes. Without it, probes of captured ports fail.",
  }),
  workloadApi: annotation("workload-api", SWITCH, [], {
    whenAbsent: "`false`",
    means: "Whether the app's containers get the directory of the identity socket, and SPIFFE_ENDPOINT_SOCKET.",
  }),
} as const;

export type AnnotationName = keyof typeof ANNOTATIONS;

type ValueOf<A> = A extends Annotation<infer T> ? T : never;

/** What the annotations of a pod say; null where they say nothing. */
export type PodOptions = { readonly [K in AnnotationName]: ValueOf<(typeof ANNOTATIONS)[K]> | null };

/** Prefixes of annotations of which we take some; the others are named in a warning. */
export const FOREIGN_PREFIXES: readonly string[] = [`${ISTIO_TRAFFIC}/`, `${ISTIO}/`, "proxy.istio.io/", `${LINKERD}/`];

interface AnnotationRest<T> {
  readonly whenAbsent: string;
  readonly means: string;
  readonly aliases?: readonly Alias<T>[];
}

function annotation<T>(
  name: string,
  value: ValueKind<T>,
  sameForm: readonly string[],
  { whenAbsent, means, aliases = [] }: AnnotationRest<T>,
): Annotation<T> {
  const all = [...sameForm.map((key) => ({ key, value })), ...aliases];
  return { key: `${OWN_PREFIX}${name}`, value, aliases: all, whenAbsent, means };
}
