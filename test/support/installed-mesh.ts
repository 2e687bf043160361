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
import { bindPod, createPodsOf, publishEndpoints, setPodReady, setReadyReplicas } from "./kube-controllers.ts";
import { SYSTEM } from "./kube-control.ts";
import { KUBELET_PORT, openKubeletLogs } from "./kubelet-logs.ts";
import { type LivingPod, startPodLife } from "./pod-life.ts";
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
  /** Starts replicas of a control plane's Deployment as the API server has it, behind the Service of the same name. */
  startReplicas(deployment?: string): Promise<readonly Replica[]>;
  /** Ends a replica's node, and sees that nobody is sent there any more. */
  killReplica(replica: Replica): Promise<void>;
  /** Runs an injected pod: what its manifest says of our containers, and an app with HTTP at the port. */
  startPod(pod: AnyObject, httpPort: number): Promise<MeshedPod>;
  /** Runs a pod that was not injected: its app. */
  startBarePod(pod: AnyObject, httpPort: number): Promise<BarePod>;
  /** Begins a pod's life as its manifest has it, the app's own containers included. */
  beginPod(pod: AnyObject): Promise<BarePod & { readonly life: LivingPod }>;
  close(): Promise<void>;
}

export interface BarePod {
  /** As the API server has it. */
  readonly object: AnyObject;
  readonly network: Pod;
}

export interface MeshedPod extends BarePod {
  readonly running: RunningPod;
}

export interface Replica extends MeshedPod {
  /** The name of its Deployment. */
  readonly of: string;
}

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
  const logSocket = join(directory, "kubelet.sock");
  const kubeletAddress = `${network.node.ipv4}:${KUBELET_PORT}`;
  const parts: { relay?: Server; logs?: Server } = {};
  const containers: RunningPod[] = [];
  const started: MeshedPod[] = [];
  const lives: LivingPod[] = [];
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
    for (const life of lives) await life.close();
    for (const { container } of containers) await killContainer(container);
    await network.close();
    parts.relay?.close();
    parts.logs?.close();
    await cluster.close();
    rmSync(directory, { recursive: true, force: true });
  }

  async function startReplica(of: string, pod: AnyObject): Promise<Replica> {
    const at = await network.addPod(`c${replicaNumber()}`);
    await firstLine(at.start(0, process.execPath, UNIX_RELAY, apiPort, apiSocket));
    const object = await bindPod(cluster, pod, [at.ipv4, at.ipv6]);
    const running = await startOnlyContainer(object, at, kubelet);
    containers.push(running);
    const replica = { of, object: await setPodReady(cluster, object), network: at, running };
    started.push(replica);
    return replica;
  }

  const replicaNumber = counter();
  const podNumber = counter();

  /** What controllers, kube-proxy and DNS do when replicas of a Deployment come or go. */
  async function publish(of: string, now: readonly Replica[]): Promise<void> {
    replicas = [...replicas.filter((each) => each.of !== of), ...now];
    const table: Record<string, readonly string[]> = { [kubeletAddress]: [`127.0.0.1:${KUBELET_PORT}`] };
    const { items } = await cluster.must("GET", `/api/v1/namespaces/${SYSTEM}/services`);
    for (const { metadata, spec } of items as AnyObject[]) {
      const ips = replicas.filter((each) => each.of === metadata.name).map((each) => each.network.ipv4);
      for (const { port, targetPort } of spec.ports as AnyObject[])
        table[`${spec.clusterIP as string}:${port as number}`] = ips.map((ip) => `${ip}:${targetPort as number}`);
    }
    writeFileSync(services, JSON.stringify(table satisfies ServiceTable));
    const names = replicas.map((each) => `${each.network.ipv4} ${each.of}.${SYSTEM}.svc\n`);
    writeFileSync(hosts, `127.0.0.1 localhost\n${names.join("")}`);
    const service = (items as AnyObject[]).find(({ metadata }) => metadata.name === of);
    // Both are gone when a control plane has been uninstalled.
    if (service === undefined) return;
    await setReadyReplicas(cluster, await deploymentNamed(of), now.length);
    await publishEndpoints(
      cluster,
      service,
      now.map(({ object }) => object),
    );
  }

  const deploymentNamed = (name: string): Promise<AnyObject> =>
    cluster.must("GET", `/apis/apps/v1/namespaces/${SYSTEM}/deployments/${name}`);

  try {
    parts.relay = await relayToPort(apiSocket, Number(apiPort));
    await firstLine(network.node.start(0, process.execPath, EGRESS, egress, services));
    await firstLine(network.node.start(0, process.execPath, UNIX_RELAY, KUBELET_PORT, logSocket));
    parts.logs = await openKubeletLogs(logSocket, cluster.directory, (namespace, name) =>
      started.find(({ object: { metadata } }) => metadata.namespace === namespace && metadata.name === name),
    );
    await cluster.must("POST", "/api/v1/nodes", { metadata: { name: "node-1" } });
    await cluster.must("PATCH", "/api/v1/nodes/node-1/status", { status: nodeStatus(network.node.ipv4) }, MERGE);
  } catch (thrown) {
    await close();
    throw thrown;
  }
  return {
    cluster,
    network,
    command: (...words) => cardea(words, { env: { KUBECONFIG: cluster.kubeconfig } }),
    async startReplicas(of = "cardea-control") {
      const pods = await createPodsOf(cluster, await deploymentNamed(of));
      if (pods[0] !== undefined) await cluster.apply(rootsFor(pods[0], cluster.caPem));
      const made = await Promise.all(pods.map((pod) => startReplica(of, pod)));
      await publish(of, [...replicas.filter((each) => each.of === of), ...made]);
      return made;
    },
    async killReplica(replica) {
      await killContainer(replica.running.container);
      const { name } = replica.object.metadata;
      await cluster.must("DELETE", `/api/v1/namespaces/${SYSTEM}/pods/${name}?gracePeriodSeconds=0`);
      await publish(
        replica.of,
        replicas.filter((each) => each.of === replica.of && each !== replica),
      );
    },
    async startPod(pod, httpPort) {
      const at = await network.addPod(`p${podNumber()}`);
      const bound = await bindPod(cluster, pod, [at.ipv4, at.ipv6]);
      const running = await startInitContainers(bound, at, kubelet);
      containers.push(running);
      await startApp(at, httpPort);
      const meshed = { object: await setPodReady(cluster, bound), network: at, running };
      started.push(meshed);
      return meshed;
    },
    async startBarePod(pod, httpPort) {
      const at = await network.addPod(`p${podNumber()}`);
      const bound = await bindPod(cluster, pod, [at.ipv4, at.ipv6]);
      await startApp(at, httpPort);
      return { object: await setPodReady(cluster, bound), network: at };
    },
    async beginPod(pod) {
      const at = await network.addPod(`p${podNumber()}`);
      const object = await bindPod(cluster, pod, [at.ipv4, at.ipv6]);
      const life = startPodLife(object, at, kubelet);
      lives.push(life);
      return { object, network: at, life };
    },
    close,
  };
}

const MERGE = { contentType: "application/merge-patch+json" };

/** What a kubelet says of its node: where it is asked for logs. */
function nodeStatus(ip: string): object {
  return {
    addresses: [{ type: "InternalIP", address: ip }],
    daemonEndpoints: { kubeletEndpoint: { Port: Number(KUBELET_PORT) } },
    conditions: [{ type: "Ready", status: "True" }],
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
