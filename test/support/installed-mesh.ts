import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { RUNTIME } from "../../src/core/image.ts";
import { cardea, type Finished } from "./cardea.ts";
import { killContainer } from "./container.ts";
import { egressConfiguration, type ServiceTable } from "./cluster-egress.ts";
import { type AnyObject, type KubeCluster, openKubeCluster } from "./kube-cluster.ts";
import { bindPod, createPods, publishEndpoints, setPodReady, setReadyReplicas } from "./kube-controllers.ts";
import { SYSTEM } from "./kube-control.ts";
import { MAIN, openPodNetwork, type Pod, type PodNetwork, startApp } from "./pod-network.ts";
import { type KubeletOptions, type RunningPod, startInitContainers, startOnlyContainer } from "./tiny-kubelet.ts";
import { relayToPort } from "./unix-relay.ts";

/**
 * A cluster with pods in network namespaces, whose API server reaches Services and pods as it would anywhere: webhooks are
 * called as `cardea install` prints them. The parts of controllers, scheduler and kubelets are the test's.
 */
export interface InstalledMesh {
  readonly cluster: KubeCluster;
  readonly network: PodNetwork;
  /** A command of ours as a person calls it, with the cluster's kubeconfig. */
  command(...words: string[]): Promise<Finished>;
  /** Starts the control plane's replicas, of its Deployment as the API server has it, behind its Service. */
  startReplicas(): Promise<readonly Replica[]>;
  /** Ends a replica's node, and sees that nobody is sent there any more. */
  killReplica(replica: Replica): Promise<void>;
  /** Runs an injected pod: what its manifest says of our containers, and an app with HTTP at the port. */
  startPod(pod: AnyObject, httpPort: number): Promise<MeshedPod>;
  close(): Promise<void>;
}

export interface Replica {
  /** As the API server has it. */
  readonly object: AnyObject;
  readonly network: Pod;
  readonly running: RunningPod;
}

export type MeshedPod = Replica;

const UNIX_RELAY = fileURLToPath(new URL("unix-relay.ts", import.meta.url));
const EGRESS = fileURLToPath(new URL("cluster-egress.ts", import.meta.url));

/** The checkout as if it were the image: the machine's own root, read-only. */
const CHECKOUT: KubeletOptions["image"] = {
  root: "/",
  entrypoint: [process.execPath, ...RUNTIME.flags, MAIN],
  env: RUNTIME.env,
};

export async function openInstalledMesh(): Promise<InstalledMesh> {
  const directory = mkdtempSync(join(tmpdir(), "cardea-mesh-"));
  chmodSync(directory, 0o755);
  const file = (name: string, text = ""): string => {
    const path = join(directory, name);
    writeFileSync(path, text);
    return path;
  };
  const egress = join(directory, "egress.sock");
  const selector = file("egress.json", JSON.stringify(egressConfiguration(egress)));
  const services = file("services.json", "{}");
  const hosts = file("hosts");
  const cluster = await openKubeCluster({ flags: [`--egress-selector-config-file=${selector}`] });
  const network = await openPodNetwork();
  const apiPort = new URL(cluster.server).port;
  const apiSocket = join(directory, "api.sock");
  const parts: { relay?: Server } = {};
  const containers: RunningPod[] = [];
  let replicas: readonly Replica[] = [];

  const kubelet: KubeletOptions = {
    cluster,
    node: network.node,
    image: CHECKOUT,
    directory,
    hosts,
    env: { KUBERNETES_SERVICE_HOST: "127.0.0.1", KUBERNETES_SERVICE_PORT: apiPort },
  };

  async function close(): Promise<void> {
    for (const { container } of containers) await killContainer(container);
    await network.close();
    parts.relay?.close();
    await cluster.close();
    rmSync(directory, { recursive: true, force: true });
  }

  async function startReplica(pod: AnyObject): Promise<Replica> {
    const at = await network.addPod(`c${replicaNumber()}`);
    await firstLine(at.start(0, process.execPath, UNIX_RELAY, apiPort, apiSocket));
    const object = await bindPod(cluster, pod, [at.ipv4, at.ipv6]);
    const running = await startOnlyContainer(object, at, kubelet);
    containers.push(running);
    return { object: await setPodReady(cluster, object), network: at, running };
  }

  const replicaNumber = counter();
  const podNumber = counter();

  /** What the Deployment's controller, that of EndpointSlices, kube-proxy and DNS do when replicas come or go. */
  async function publish(now: readonly Replica[]): Promise<void> {
    replicas = now;
    const service = await cluster.must("GET", `/api/v1/namespaces/${SYSTEM}/services/cardea-control`);
    const deployment = await cluster.must("GET", `/apis/apps/v1/namespaces/${SYSTEM}/deployments/cardea-control`);
    const ips = replicas.map((each) => each.network.ipv4);
    const table: ServiceTable = Object.fromEntries(
      (service.spec.ports as AnyObject[]).map(({ port, targetPort }) => [
        `${service.spec.clusterIP as string}:${port as number}`,
        ips.map((ip) => `${ip}:${targetPort as number}`),
      ]),
    );
    writeFileSync(services, JSON.stringify(table));
    const names = ips.map((ip) => `${ip} cardea-control.${SYSTEM}.svc\n`);
    writeFileSync(hosts, `127.0.0.1 localhost\n${names.join("")}`);
    await setReadyReplicas(cluster, deployment, replicas.length);
    await publishEndpoints(
      cluster,
      service,
      replicas.map(({ object }) => object),
    );
  }

  try {
    parts.relay = await relayToPort(apiSocket, Number(apiPort));
    await firstLine(network.node.start(0, process.execPath, EGRESS, egress, services));
  } catch (thrown) {
    await close();
    throw thrown;
  }
  return {
    cluster,
    network,
    command: (...words) => cardea(words, { env: { KUBECONFIG: cluster.kubeconfig } }),
    async startReplicas() {
      const pods = await createPods(cluster, SYSTEM);
      await cluster.apply(rootsFor(pods[0], cluster.caPem));
      await publish(await Promise.all(pods.map(startReplica)));
      return replicas;
    },
    async killReplica(replica) {
      await killContainer(replica.running.container);
      const { name } = replica.object.metadata;
      await cluster.must("DELETE", `/api/v1/namespaces/${SYSTEM}/pods/${name}?gracePeriodSeconds=0`);
      await publish(replicas.filter((each) => each !== replica));
    },
    async startPod(pod, httpPort) {
      const at = await network.addPod(`p${podNumber()}`);
      const bound = await bindPod(cluster, pod, [at.ipv4, at.ipv6]);
      const running = await startInitContainers(bound, at, kubelet);
      containers.push(running);
      await startApp(at, httpPort);
      return { object: await setPodReady(cluster, bound), network: at, running };
    },
    close,
  };
}

/** What controllers publish in each namespace, and the API token's volume wants: whom to trust as the API server. */
function rootsFor({ spec, metadata: { namespace } }: AnyObject, pem: string): readonly object[] {
  const sources = (spec.volumes as AnyObject[]).flatMap(({ projected }) => (projected?.sources ?? []) as AnyObject[]);
  return sources.flatMap(({ configMap }) => {
    if (configMap === undefined) return [];
    const data = Object.fromEntries((configMap.items as AnyObject[]).map(({ key }) => [key as string, pem]));
    return [{ apiVersion: "v1", kind: "ConfigMap", metadata: { name: configMap.name, namespace }, data }];
  });
}

function counter(): () => number {
  let last = 0;
  return () => (last += 1);
}

function firstLine(child: ReturnType<Pod["start"]>): Promise<void> {
  return new Promise((resolve, reject) => {
    child.stdout!.once("data", () => resolve());
    child.once("exit", (code) => reject(new Error(`a helper of the network ended with ${code}`)));
  });
}
