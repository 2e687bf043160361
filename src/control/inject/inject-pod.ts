import type { KeptProbe } from "../../config/pod-variables.ts";
import { isJsonList, isJsonObject, type JsonObject, type JsonValue, memberOf } from "../../core/json-value.ts";
import { isInRanges, parsePortRanges } from "../../core/port-range.ts";
import type { PodOptions } from "./annotations.ts";
import { type Injection, type NamespaceFacts, Refused } from "./injection.ts";
import { diffJson } from "./json-patch.ts";
import { CONTAINERS, DEFAULT_CONTAINER_ANNOTATION, nameOf, SCRAPE_ANNOTATIONS, STATUS_ANNOTATION } from "./names.ts";
import { decideOptIn } from "./opt-in.ts";
import { foreignWarnings, readPodOptions } from "./pod-options.ts";
import {
  assertInjectable,
  foreignSidecar,
  type PodShape,
  readPodMetadata,
  readPodShape,
  whyLeft,
} from "./pod-shape.ts";
import { assertHooksReachable, type IsCaptured, takeOverProbes } from "./probes.ts";
import { redirectContainer } from "./redirect-container.ts";
import { formatStatus, removeInjection } from "./remove-injection.ts";
import type { InjectSettings } from "./settings.ts";
import { sidecarContainer } from "./sidecar-container.ts";
import { sidecarVolumes } from "./volumes.ts";
import { giveWorkloadApi } from "./workload-api.ts";

export interface InjectOptions {
  /** For files: who names them asks for it, where neither pod nor namespace says anything. */
  readonly whenUnsaid?: boolean;
}

/**
 * What becomes of a pod, or of a pod's template: the one place where that is decided, for the webhook and for files. The
 * same pod and settings give the same, and what was injected before is injected anew, so that twice is as good as once.
 * Never throws for what a pod holds.
 */
export function injectPod(
  pod: JsonValue,
  namespace: NamespaceFacts,
  settings: InjectSettings,
  options: InjectOptions = {},
): Injection {
  try {
    return decide(pod, namespace, settings, options);
  } catch (thrown) {
    if (thrown instanceof Refused) return { kind: "refuse", why: thrown.message, mend: thrown.mend };
    throw thrown;
  }
}

function decide(
  pod: JsonValue,
  namespace: NamespaceFacts,
  settings: InjectSettings,
  { whenUnsaid = false }: InjectOptions,
): Injection {
  // First of all, and from the metadata alone: a pod that does not ask for us is not ours to judge.
  const words = readPodMetadata(pod);
  const { excludedNamespaces } = settings;
  const optIn = decideOptIn(words, namespace, { excludedNamespaces, whenUnsaid });
  if (!optIn.wanted) return { kind: "leave", why: optIn.why };
  const given = words.pod;
  const removed = removeInjection(given);
  const shape = readPodShape(removed.pod);
  const why = whyLeft(shape);
  if (why !== null) return { kind: "leave", why };
  const other = foreignSidecar(shape);
  if (other !== null && !optIn.isOurs) return { kind: "leave", why: `it has the sidecar of ${other} already` };
  if (other !== null) throw new Refused(`it has the sidecar of ${other} already`, `inject it by one of the two only`);
  assertInjectable(shape);
  const made = build(removed.pod, shape, settings, readPodOptions(shape.annotations, namespace.annotations));
  const injected = keepResources(made, removed.containers);
  return {
    kind: "inject",
    // Reviews of injected pods ask what the pod should be, and never for the way there.
    get patch() {
      return diffJson(given, injected);
    },
    pod: injected,
    warnings: [...foreignWarnings(shape.annotations), ...startWarnings(shape, settings)],
  };
}

function build(pod: JsonObject, shape: PodShape, settings: InjectSettings, options: PodOptions): JsonObject {
  assertCompletes(shape, settings);
  const isCaptured = capturedBy(options);
  const probes: Record<string, KeptProbe> = {};
  const own = (container: JsonObject): JsonObject => {
    if (options.rewriteProbes === false) return withApi(container, options);
    assertHooksReachable(container, isCaptured);
    const [taken, kept] = takeOverProbes(container, isCaptured);
    Object.assign(probes, kept);
    return withApi(taken, options);
  };
  const initContainers = shape.initContainers.map(own);
  const containers = shape.containers.map(own);
  const ports = declaredPorts([...shape.initContainers, ...shape.containers]);
  const gracePeriodSec = gracePeriodOf(shape.spec);
  const sidecar = sidecarContainer({ settings, options, ports, probes, gracePeriodSec });
  const redirect = redirectContainer(settings, options);
  const volumes = sidecarVolumes(settings, options);
  const isNative = settings.sidecar === "native";
  const status = {
    containers: Object.values(CONTAINERS),
    volumes: volumes.map(nameOf),
    defaultContainer: !isNative && !Object.hasOwn(shape.annotations, DEFAULT_CONTAINER_ANNOTATION),
    // There is one port a pod: an app that has its own there keeps it, and one that says `false` meant the pod.
    scrape: !Object.keys(SCRAPE_ANNOTATIONS).some((name) => Object.hasOwn(shape.annotations, name)),
  };
  const annotations = {
    ...shape.annotations,
    ...(status.defaultContainer ? { [DEFAULT_CONTAINER_ANNOTATION]: nameOf(containers[0]!) } : {}),
    ...(status.scrape ? SCRAPE_ANNOTATIONS : {}),
    [STATUS_ANNOTATION]: formatStatus(status),
  };
  // Ours first: nothing of the pod runs outside of the mesh, its own init containers included.
  const spec = {
    ...shape.spec,
    initContainers: isNative ? [redirect, sidecar, ...initContainers] : [redirect, ...initContainers],
    containers: isNative ? containers : [sidecar, ...containers],
    volumes: [...shape.volumes, ...volumes],
  };
  return { ...pod, metadata: { ...shape.metadata, annotations }, spec };
}

function withApi(container: JsonObject, { workloadApi }: PodOptions): JsonObject {
  return workloadApi === true ? giveWorkloadApi(container) : container;
}

/** A plain container beside it would keep a Job's pod running for ever. */
function assertCompletes({ spec }: PodShape, { sidecar }: InjectSettings): void {
  const policy = spec["restartPolicy"] ?? "Always";
  if (sidecar === "native" || policy === "Always") return;
  throw new Refused(
    `its restartPolicy is ${JSON.stringify(policy)}, and without native sidecars (Kubernetes 1.29) the pod would never complete`,
    "opt it out by the label cardea.dev/inject: disabled, or move to Kubernetes 1.29",
  );
}

/** A plain container starts after the pod's init containers, whose connections are redirected already. */
function startWarnings({ initContainers }: PodShape, { sidecar }: InjectSettings): readonly string[] {
  if (sidecar === "native" || initContainers.length === 0) return [];
  const names = initContainers.map(nameOf).join(", ");
  return [
    `without native sidecars (Kubernetes 1.29) init containers run before the sidecar, and connect to nothing that is captured: ${names}`,
  ];
}

function capturedBy({ inboundPorts, excludeInboundPorts }: PodOptions): IsCaptured {
  const included = inboundPorts === null || inboundPorts === "all" ? null : parsePortRanges(inboundPorts);
  const excluded = parsePortRanges(excludeInboundPorts ?? "");
  return (port) => (included === null || isInRanges(included, port)) && !isInRanges(excluded, port);
}

/** What the containers declare, in order, as CARDEA_PORTS has it; of a port declared twice the first counts. */
function declaredPorts(containers: readonly JsonObject[]): string {
  const ports = new Map<number, string>();
  for (const container of containers) {
    const declared = container["ports"];
    for (const port of isJsonList(declared) ? declared : []) {
      const number = memberOf(port, "containerPort");
      const isTcp = (memberOf(port, "protocol") ?? "TCP") === "TCP";
      if (!isTcp || typeof number !== "number" || !Number.isInteger(number) || ports.has(number)) continue;
      const name = memberOf(port, "name");
      ports.set(number, typeof name === "string" && /^[a-z0-9-]{1,63}$/.test(name) ? `/${name}` : "");
    }
  }
  return [...ports].map(([number, name]) => `${number}${name}`).join(",");
}

/** The API server's default. Kubernetes API, PodSpec.terminationGracePeriodSeconds. */
const GRACE_PERIOD_SEC = 30;

function gracePeriodOf(spec: JsonObject): number {
  const period = spec["terminationGracePeriodSeconds"];
  return typeof period === "number" && period >= 0 ? period : GRACE_PERIOD_SEC;
}

/** What a LimitRange has filled in where our containers say nothing: without it the server would refuse them. */
function keepResources(pod: JsonObject, before: ReadonlyMap<string, JsonObject>): JsonObject {
  const { spec } = pod;
  if (before.size === 0 || !isJsonObject(spec)) return pod;
  const keep = (each: JsonValue): JsonValue => {
    const old = isJsonObject(each) ? before.get(nameOf(each)) : undefined;
    if (old === undefined || !isJsonObject(each)) return each;
    return { ...each, resources: filledIn(each["resources"], old["resources"]) };
  };
  const lists = ["initContainers", "containers"].flatMap((key) => {
    const items = spec[key];
    return isJsonList(items) ? [[key, items.map(keep)] as const] : [];
  });
  return { ...pod, spec: { ...spec, ...Object.fromEntries(lists) } };
}

function filledIn(ours: JsonValue | undefined, old: JsonValue | undefined): JsonObject {
  const result: Record<string, JsonValue> = isJsonObject(ours) ? { ...ours } : {};
  for (const kind of ["requests", "limits"]) {
    const before = memberOf(old, kind);
    if (isJsonObject(before)) result[kind] = { ...before, ...asObject(result[kind]) };
  }
  return result;
}

function asObject(value: JsonValue | undefined): JsonObject {
  return isJsonObject(value) ? value : {};
}
