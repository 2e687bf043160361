import type { SpiffeId } from "../../core/spiffe-id.ts";
import { type About, type Changes, isSameResource } from "../distribute/about.ts";
import { serviceMessage, type WorkloadMessage, workloadMessage } from "../distribute/address-message.ts";
import type { LabelSet } from "../distribute/policy-set.ts";
import { aboutsOf, type RegistryContext, serviceResourceName } from "../distribute/registry-content.ts";
import type { Resource } from "../distribute/resource.ts";
import { ServedServices } from "../distribute/served-services.ts";
import type { ServiceFacts, SliceFacts } from "./endpoint-facts.ts";
import { LabelSets } from "./label-sets.ts";
import type { PodFacts } from "./pod-facts.ts";

export interface ModelOptions extends RegistryContext {
  /** e.g. `cluster.local`. */
  readonly clusterDomain: string;
}

/**
 * Services and workloads as they are distributed, out of Services, EndpointSlices and Pods. Only what a change concerns
 * is made again: an endpoint costs its own workload, a service's port the workloads behind it.
 */
export class RegistryModel {
  readonly resources = new Map<string, Resource>();
  readonly #options: ModelOptions;
  readonly #services = new Map<string, ServiceFacts>();
  readonly #slices = new Map<string, SliceFacts>();
  readonly #pods = new Map<string, PodFacts>();
  readonly #slicesOfService = new Map<string, Set<string>>();
  readonly #slicesOfPod = new Map<string, Set<string>>();
  readonly #labelSets = new LabelSets();
  readonly #served = new ServedServices();
  /** What is to be made again: keys of services, and of pods. */
  #staleServices = new Set<string>();
  #stalePods = new Set<string>();

  constructor(options: ModelOptions) {
    this.#options = options;
  }

  get serviceCount(): number {
    return this.#services.size;
  }

  get pods(): ReadonlyMap<string, PodFacts> {
    return this.#pods;
  }

  /** The different label sets of an identity's pods; the same array until they change. */
  labelSetsOf(spiffeId: SpiffeId): readonly LabelSet[] {
    return this.#labelSets.of(spiffeId);
  }

  putService(key: string, service: ServiceFacts | null): void {
    if (service === null) this.#services.delete(key);
    else this.#services.set(key, service);
    this.#staleServices.add(key);
    for (const slice of this.#slicesOfService.get(key) ?? [])
      for (const pod of this.#slices.get(slice)?.pods.keys() ?? []) this.#stalePods.add(pod);
  }

  putSlice(key: string, slice: SliceFacts | null): void {
    const before = this.#slices.get(key);
    for (const pod of changedPods(before, slice)) this.#stalePods.add(pod);
    if (before !== undefined) this.#unlink(key, before);
    if (slice === null) this.#slices.delete(key);
    else {
      this.#slices.set(key, slice);
      link(this.#slicesOfService, slice.serviceKey, key);
      for (const pod of slice.pods.keys()) link(this.#slicesOfPod, pod, key);
    }
  }

  putPod(key: string, pod: PodFacts | null): void {
    const before = this.#pods.get(key);
    const isSameSet = before !== undefined && pod !== null && !pod.isOver && isSameLabelSet(before, pod);
    if (!isSameSet && before?.isMeshed === true) this.#labelSets.remove(before);
    if (pod === null || pod.isOver) this.#pods.delete(key);
    else {
      this.#pods.set(key, pod);
      if (!isSameSet && pod.isMeshed) this.#labelSets.add(pod);
    }
    this.#stalePods.add(key);
  }

  /** What all pods are made of has changed. */
  touchPods(): void {
    for (const key of this.#pods.keys()) this.#stalePods.add(key);
  }

  /** Makes again what has changed; what is different now. */
  flush(): Changes {
    const changed = new Map<string, readonly About[]>();
    for (const key of this.#staleServices) this.#refresh(this.#serviceName(key), this.#serviceOf(key), changed);
    for (const key of this.#stalePods) this.#refresh(podResourceName(key), this.#workloadOf(key), changed);
    this.#staleServices = new Set();
    this.#stalePods = new Set();
    return { names: changed, identities: this.#labelSets.takeChanged(), opened: this.#served.takeOpened() };
  }

  #refresh(name: string, resource: Resource | null, changed: Map<string, readonly About[]>): void {
    const before = this.resources.get(name);
    const after = resource ?? undefined;
    if (isSameResource(before, after)) return;
    if (after === undefined) this.resources.delete(name);
    else this.resources.set(name, after);
    changed.set(name, aboutsOf(before, after));
    this.#served.note(before?.about, after?.about);
  }

  #serviceName(key: string): string {
    const [namespace = "", name = ""] = key.split("/");
    return serviceResourceName(namespace, `${name}.${namespace}.svc.${this.#options.clusterDomain}`);
  }

  #serviceOf(key: string): Resource | null {
    const service = this.#services.get(key);
    if (service === undefined) return null;
    const { name, namespace, addresses, exportTo } = service;
    const hostname = `${name}.${namespace}.svc.${this.#options.clusterDomain}`;
    const ports = service.ports.map(({ port, targetPort, protocol }) => ({
      port,
      // A named one differs from pod to pod; each workload has its own.
      targetPort: targetPort ?? port,
      protocol,
    }));
    return serviceMessage({ name, namespace, hostname, addresses, ports, exportTo }, this.#options.api);
  }

  #workloadOf(key: string): Resource | null {
    const pod = this.#pods.get(key);
    if (pod === undefined || pod.addresses.length === 0) return null;
    const services = this.#servicesOf(key);
    if (services.length === 0 && !pod.isMeshed) return null;
    const { name, namespace, addresses, serviceAccount, workloadName, labels, isMeshed } = pod;
    return workloadMessage(
      {
        uid: podResourceName(key),
        name,
        namespace,
        addresses,
        serviceAccount,
        workloadName,
        labels: new Map(Object.entries(labels)),
        reach: isMeshed ? { hbonePort: HBONE_PORT } : "none",
        plaintext: isMeshed ? (this.#options.plaintext?.of({ namespace, labels }) ?? null) : null,
        services,
      },
      this.#options,
    );
  }

  /** The services that a pod serves now, with its own ports for each. */
  #servicesOf(podKey: string) {
    const served: ServedService[] = [];
    for (const sliceKey of [...(this.#slicesOfPod.get(podKey) ?? [])].toSorted()) {
      const slice = this.#slices.get(sliceKey);
      const service = slice && this.#services.get(slice.serviceKey);
      const state = slice?.pods.get(podKey);
      if (slice === undefined || service === undefined || state === undefined) continue;
      if (state.isTerminating || (!state.isReady && !service.offersUnready)) continue;
      const ports = service.ports.flatMap(({ name, port, protocol }) => {
        const targetPort = slice.ports.get(name);
        return targetPort === undefined ? [] : [{ port, targetPort, protocol }];
      });
      if (ports.length > 0) served.push({ name: this.#serviceName(service.key), ports, exportTo: service.exportTo });
    }
    return served;
  }

  #unlink(key: string, slice: SliceFacts): void {
    unlink(this.#slicesOfService, slice.serviceKey, key);
    for (const pod of slice.pods.keys()) unlink(this.#slicesOfPod, pod, key);
  }
}

type ServedService = WorkloadMessage["services"][number];

const HBONE_PORT = 15_008;

/** xDS resource name and uid of a pod, in Istio's shape (cluster/group/kind/namespace/name). */
function podResourceName(key: string): string {
  return `Kubernetes//Pod/${key}`;
}

/** Whose part in a slice is another one now. */
function changedPods(before: SliceFacts | undefined, after: SliceFacts | null): Iterable<string> {
  if (before === undefined) return after?.pods.keys() ?? [];
  if (after === null) return before.pods.keys();
  const isSameFrame = before.serviceKey === after.serviceKey && isSameMap(before.ports, after.ports);
  const all = new Set([...before.pods.keys(), ...after.pods.keys()]);
  if (!isSameFrame) return all;
  return [...all].filter((pod) => {
    const [left, right] = [before.pods.get(pod), after.pods.get(pod)];
    return left?.isReady !== right?.isReady || left?.isTerminating !== right?.isTerminating;
  });
}

function isSameLabelSet(left: PodFacts, right: PodFacts): boolean {
  const isSameMember = left.isMeshed === right.isMeshed && left.spiffeId === right.spiffeId;
  return isSameMember && JSON.stringify(left.labels) === JSON.stringify(right.labels);
}

function isSameMap(left: ReadonlyMap<string, number>, right: ReadonlyMap<string, number>): boolean {
  return left.size === right.size && [...left].every(([name, port]) => right.get(name) === port);
}

function link(index: Map<string, Set<string>>, from: string, to: string): void {
  const known = index.get(from) ?? new Set();
  index.set(from, known.add(to));
}

function unlink(index: Map<string, Set<string>>, from: string, to: string): void {
  const known = index.get(from);
  known?.delete(to);
  if (known?.size === 0) index.delete(from);
}
