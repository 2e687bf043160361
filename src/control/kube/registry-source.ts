import { createLatest } from "../../core/latest.ts";
import type { Fault } from "../../core/located.ts";
import { KUBE } from "../../core/kube-resources.ts";
import type { KubeApi, KubeObject, KubeResource } from "../../core/kube.ts";
import type { Clock, Logger, Random, Timer } from "../../core/ports.ts";
import type { RegistryContent } from "../distribute/registry-content.ts";
import type { Registry } from "../distribute/registry.ts";
import { ChangeLog } from "../distribute/change-log.ts";
import { serviceFactsOf, sliceFactsOf } from "./endpoint-facts.ts";
import { type Informer, openInformer } from "./informer.ts";
import { type PodFacts, podFactsOf, trimPod } from "./pod-facts.ts";
import { type ModelOptions, RegistryModel } from "./registry-model.ts";

export interface KubeRegistryOptions extends ModelOptions {
  readonly kube: KubeApi;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** The registry of a cluster. */
export interface KubeRegistry extends Registry {
  readonly informers: readonly Informer[];
  /** All pods that have not run to their end, by `namespace/name`. */
  readonly pods: ReadonlyMap<string, PodFacts>;
}

/** Changes of this time make one: a rollout of a thousand pods is not a thousand pushes. */
const COLLECT_MS = 20;

/** Follows the cluster's Services, EndpointSlices and Pods. Resolves once all of them have been listed. */
export async function openKubeRegistry(options: KubeRegistryOptions): Promise<KubeRegistry> {
  const { clock, logger, trustDomain } = options;
  const model = new RegistryModel(options);
  const log = new ChangeLog();
  const content = createLatest<RegistryContent>(contentOf(model, log));
  let isSynced = false;
  let timer: Timer | null = null;
  let isListed = false;

  function flush(): void {
    timer = null;
    const changes = model.flush();
    // Labels are in no resource, and decide which policies a sidecar gets. All else about a pod concerns nobody.
    if (changes.names.size === 0 && changes.identities.size === 0 && isListed) return;
    isListed = true;
    log.add(changes);
    content.set(contentOf(model, log));
    logger.log("debug", "registry-changed", { count: changes.names.size, services: model.serviceCount });
  }

  function follow(resource: KubeResource, put: (key: string, object: KubeObject | null) => void): Informer {
    return openInformer({
      ...options,
      api: options.kube,
      resource,
      ...(resource === KUBE.pods ? { trim: trimPod } : {}),
      onChange: put,
      onSettled() {
        if (isSynced) timer ??= clock.setTimer(COLLECT_MS, flush);
      },
    });
  }

  const unsubscribe = options.plaintext?.subscribe(() => {
    model.touchPods();
    if (isSynced) timer ??= clock.setTimer(COLLECT_MS, flush);
  });
  const informers = [
    follow(KUBE.services, (key, object) => model.putService(key, object && serviceFactsOf(object))),
    follow(KUBE.endpointSlices, (key, object) => model.putSlice(key, object && sliceFactsOf(object))),
    follow(KUBE.pods, (key, object) => model.putPod(key, object && podFactsOf(object, trustDomain))),
  ];
  await Promise.all(informers.map((informer) => informer.synced));
  // Not before all are there: half a registry would take workloads from services that have them.
  isSynced = true;
  flush();
  logger.log("info", "registry-synced", { services: model.serviceCount, workloads: model.pods.size });
  return {
    content,
    faults: createLatest<readonly Fault[]>([]),
    informers,
    pods: model.pods,
    close() {
      unsubscribe?.();
      timer?.cancel();
      for (const informer of informers) informer.close();
    },
  };
}

function contentOf(model: RegistryModel, log: ChangeLog): RegistryContent {
  return {
    version: String(log.version),
    resources: model.resources,
    get workloads() {
      return [...model.pods.values()];
    },
    serviceCount: model.serviceCount,
    labelSetsOf: (spiffeId) => model.labelSetsOf(spiffeId),
    changedSince: (version) => log.since(Number(version)),
  };
}
