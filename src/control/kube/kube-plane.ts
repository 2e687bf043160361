import type { KubeControlConfig, KubeFlowsConfig } from "../../config/kube-control-config.ts";
import { KUBE } from "../../core/kube-resources.ts";
import type { KubeApi } from "../../core/kube.ts";
import type { Listening } from "../../core/ports.ts";
import type { HttpsServerOptions } from "../../io/https-server.ts";
import { type ControlPlane, type ControlPorts, openControlPlane } from "../control-plane.ts";
import type { OpenFlowStore } from "../flows/open-store.ts";
import type { RevisionArchive } from "../distribute/revision-archive.ts";
import { guardClock } from "./clock-guard.ts";
import { createClusterFaults } from "./cluster-faults.ts";
import { controlName } from "./control-name.ts";
import { tellFaults } from "./fault-events.ts";
import type { InjectSettings } from "../inject/settings.ts";
import { openInformer } from "./informer.ts";
import { openKubeWebhooks } from "./kube-webhooks.ts";
import { type Leadership, openLeadership } from "./lease.ts";
import { openKubePolicySource } from "./policy-source.ts";
import { type KubeRegistry, openKubeRegistry } from "./registry-source.ts";
import { publishedInCluster } from "./published-roots.ts";
import { guardRoot } from "./root-guard.ts";
import { openSecretFiles } from "./secret-files.ts";
import { openSweep, type Sweep } from "./sweep.ts";
import { createTokenReviewAttestor } from "./token-review.ts";
import { publishTrustBundle } from "./trust-bundle.ts";

/** What the control plane of a cluster needs of the outside. */
export interface KubePlanePorts
  extends Pick<ControlPorts, "listenTls" | "openAdmin" | "fetchText" | "clock" | "random" | "logger" | "version"> {
  readonly kube: KubeApi;
  openHttpsServer(options: HttpsServerOptions): Promise<Listening>;
  /** The store of flow records of this replica. Left out: there is none, whatever the configuration says. */
  readonly openStore?: (config: KubeFlowsConfig) => Promise<OpenFlowStore>;
  /** The mesh's, without what follows from the configuration. */
  readonly injection: InjectSettings;
}

/**
 * The control plane on Kubernetes. Every replica serves certificates and discovery; one of them, the leader, publishes
 * the roots and tells of bad policies. Resolves when the cluster has been listed and the ports are open. Errors: those of
 * `openControlPlane`.
 */
export async function openKubeControlPlane(config: KubeControlConfig, ports: KubePlanePorts): Promise<ControlPlane> {
  const { kube, clock, random, logger } = ports;
  const { trustDomain, rootNamespace } = config.mesh;
  const follow = { kube, clock, random, logger };
  const faults = createClusterFaults(logger);
  const clockGuard = guardClock(kube, faults);
  const policies = openKubePolicySource(follow);
  const namespaces = openInformer({ ...follow, api: kube, resource: KUBE.namespaces });
  let registry: KubeRegistry | null = null;
  let sweep: Sweep | null = null;
  let leadership: Leadership | null = null;

  const plane = await openControlPlane(config, {
    ...ports,
    ...storeOf(config, ports),
    policies,
    async openRegistry(context) {
      registry = await openKubeRegistry({ ...follow, ...context, clusterDomain: config.clusterDomain });
      return registry;
    },
    archive: NO_ARCHIVE,
    state: openSecretFiles({ kube, namespace: rootNamespace }),
    publishedRoots: publishedInCluster(kube, rootNamespace),
    assertMayIssue: () => clockGuard.assertTrusted(),
    attest: createTokenReviewAttestor({
      kube,
      trustDomain,
      audience: config.audience,
      hasPod: (spiffeId) => (registry?.content.get().labelSetsOf?.(spiffeId).length ?? 0) > 0,
    }),
    telemetry: config.telemetry,
    openWebhooks: (parts) =>
      openKubeWebhooks({ ...follow, ...parts, config, ports, namespaces: namespaces.objects, faults }),
    startsWithoutPolicies: true,
    cluster: () => ({
      replica: config.replica,
      isLeader: leadership?.isLeader.get() ?? false,
      notFollowed: [...(registry?.informers ?? []), ...policies.informers, namespaces].flatMap(({ resource, error }) =>
        error === null ? [] : [{ kind: resource.kind, error: error.message }],
      ),
      faults: faults.list(),
      meshless: sweep?.meshless() ?? [],
    }),
  }).catch((thrown: unknown) => {
    clockGuard.close();
    policies.close();
    namespaces.close();
    throw thrown;
  });

  const swept = openSweep({ ...follow, pods: registry!.pods });
  sweep = swept;
  const rootGuard = guardRoot({ authority: plane.authority, faults, clock, logger });
  const identity = `${config.replica}_${random.bytes(8).toString("hex")}`;
  const elected = openLeadership({ ...follow, namespace: rootNamespace, name: controlName(config.revision), identity });
  leadership = elected;
  let duties: readonly { close(): void }[] = [];
  const endDuties = (): void => {
    for (const duty of duties) duty.close();
    duties = [];
  };
  elected.isLeader.subscribe((isLeader) => {
    endDuties();
    if (!isLeader) return;
    const leader = { ...follow, mayWrite: () => elected.holds() };
    const telling = tellFaults({ ...leader, faults: plane.policyFaults, replica: config.replica });
    duties = [publishTrustBundle({ ...leader, rootPem: plane.rootPem }), telling];
  });

  return {
    ...plane,
    async close(graceMs) {
      endDuties();
      clockGuard.close();
      rootGuard.close();
      swept.close();
      policies.close();
      namespaces.close();
      // First, so that another replica begins at once.
      await elected.close();
      await plane.close(graceMs);
    },
  };
}

/** Each replica keeps what the sidecars that are connected to it tell of. */
function storeOf({ flows }: KubeControlConfig, { openStore }: KubePlanePorts): Pick<ControlPorts, "openFlowStore"> {
  return flows === null || openStore === undefined ? {} : { openFlowStore: () => openStore(flows) };
}

/** In a cluster the API server has the policies' texts, and no replica has a disk that outlives it. */
const NO_ARCHIVE: RevisionArchive = {
  save: () => Promise.resolve(),
  newest: () => Promise.resolve(null),
};
