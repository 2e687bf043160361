import type { KubeApi } from "../../core/kube.ts";
import { KUBE } from "../../core/kube-resources.ts";
import type { Clock, Logger, Random, Timer } from "../../core/ports.ts";
import { openInformer } from "./informer.ts";
import { isMeshNamespace, wantsSidecar } from "./mesh-namespaces.ts";
import type { PodFacts } from "./pod-facts.ts";

/** Why a pod in a namespace of the mesh has no sidecar. */
export type MeshlessReason = "no-sidecar" | "opted-out" | "host-network";

export interface MeshlessPod {
  /** `namespace/name`. */
  readonly pod: string;
  readonly reason: MeshlessReason;
}

/** Looks for pods that run outside of the mesh where all should be in it. */
export interface Sweep {
  meshless(): readonly MeshlessPod[];
  close(): void;
}

export interface SweepOptions {
  readonly kube: KubeApi;
  readonly pods: ReadonlyMap<string, PodFacts>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

const EVERY_MS = 30_000;
/** Pods that are named; all are counted. */
const NAMED_MAX = 100;

/**
 * A webhook that was away, or a namespace that was labelled late, lets pods in without a sidecar. Nothing that they are
 * sent goes to them unencrypted (sidecars refuse), but nothing that they send is held either: so each is told.
 */
export function openSweep(options: SweepOptions): Sweep {
  const { kube, clock, logger } = options;
  const namespaces = openInformer({ ...options, api: kube, resource: KUBE.namespaces });
  let told = new Set<string>();

  function meshless(): readonly MeshlessPod[] {
    const found: MeshlessPod[] = [];
    for (const pod of options.pods.values()) {
      const namespace = namespaces.objects.get(pod.namespace);
      if (pod.isMeshed || pod.isDeleting || namespace === undefined) continue;
      const isWanted = wantsSidecar(pod, namespace);
      if (!isWanted && !isMeshNamespace(namespace)) continue;
      const reason = pod.isHostNetwork ? "host-network" : isWanted ? "no-sidecar" : "opted-out";
      found.push({ pod: pod.key, reason });
    }
    return found;
  }

  function tell(): void {
    const now = meshless().filter(({ reason }) => reason === "no-sidecar");
    for (const { pod } of now.filter((each) => !told.has(each.pod)).slice(0, NAMED_MAX))
      logger.log("warn", "pod-without-sidecar", { workload: pod });
    told = new Set(now.map(({ pod }) => pod));
    timer = clock.setTimer(EVERY_MS, tell);
  }

  let timer: Timer = clock.setTimer(EVERY_MS, tell);
  void namespaces.synced.then(() => {
    timer.cancel();
    timer = clock.setTimer(0, tell);
  });
  return {
    meshless,
    close() {
      timer.cancel();
      namespaces.close();
    },
  };
}
