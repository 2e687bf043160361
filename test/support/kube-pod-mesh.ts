import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Replay, replayFlow } from "../../src/control/map/flow-replay.ts";
import { formatRevisionFile, revisionFileName } from "../../src/config/revision-file.ts";
import { RUNTIME } from "../../src/core/image.ts";
import { parseFlowLine } from "../../src/observe/flow-line.ts";
import { DEFAULT_MESH_SETTINGS } from "../../src/policy/mesh-settings.ts";
import { killContainer } from "./container.ts";
import { mustInject } from "./injected.ts";
import { type AnyObject, type KubeCluster, openKubeCluster } from "./kube-cluster.ts";
import { installControl, type KubeReplica, startReplica, until } from "./kube-control.ts";
import { openPodNetwork, type Pod, type PodNetwork, startApp } from "./pod-network.ts";
import { type KubeletOptions, type RunningPod, startInitContainers } from "./tiny-kubelet.ts";
import { relayToPort } from "./unix-relay.ts";

/**
 * A cluster in network namespaces: a real API server, the real control plane on the node, and the pods web, orders and
 * ledger of the namespace shop, injected, redirected, each with an account and a service of its own; `outside` is in no
 * mesh. The controllers' and the kubelet's parts are the test's.
 */
export interface KubePodMesh {
  readonly cluster: KubeCluster;
  readonly control: KubeReplica;
  readonly web: MeshPod;
  readonly orders: MeshPod;
  readonly ledger: MeshPod;
  readonly outside: Pod;
  /** Why a request that ended at a pod was denied: by its record, and the policies that the cluster has now. */
  explain(pod: MeshPod, id: string): Promise<Replay>;
  close(): Promise<void>;
}

export interface MeshPod {
  readonly network: Pod;
  /** Its service's address. */
  readonly vip: string;
  /** As the API server has it. */
  readonly object: AnyObject;
  readonly running: RunningPod;
  /** Flow records of its sidecar, the newest last. */
  flows(): readonly KubeFlow[];
}

export interface KubeFlow {
  readonly id: string;
  readonly verdict: string;
  readonly reason: string;
  readonly protocol: string;
  readonly revision?: string;
  readonly policy?: string;
  readonly grpcStatus?: number;
  readonly source: { readonly principal?: string; readonly ip: string; readonly workload?: string };
  readonly destination: { readonly ip: string; readonly port: number };
}

const NAMES = ["web", "orders", "ledger"] as const;
const CONTROL_PORT = 15_012;
const MERGE = { contentType: "application/merge-patch+json" };
const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const RELAY = fileURLToPath(new URL("unix-relay.ts", import.meta.url));

/** The checkout as if it were the image: the machine's own root, read-only. */
const CHECKOUT: KubeletOptions["image"] = {
  root: "/",
  entrypoint: [process.execPath, ...RUNTIME.flags, MAIN],
  env: RUNTIME.env,
};

export async function openKubePodMesh(): Promise<KubePodMesh> {
  const directory = mkdtempSync(join(tmpdir(), "cardea-kube-pods-"));
  chmodSync(directory, 0o755);
  const cluster = await openKubeCluster();
  const network = await openPodNetwork();
  const parts: { relay?: Server; control?: KubeReplica } = {};
  const meshed: MeshPod[] = [];
  async function close(): Promise<void> {
    for (const { running } of meshed) await killContainer(running.container);
    parts.control?.process.child.kill("SIGKILL");
    await parts.control?.process.finished;
    await network.close();
    parts.relay?.close();
    await cluster.close();
    rmSync(directory, { recursive: true, force: true });
  }
  try {
    const serverPort = Number(new URL(cluster.server).port);
    const socket = join(directory, "api.sock");
    parts.relay = await relayToPort(socket, serverPort);
    await firstLine(network.node.start(0, process.execPath, RELAY, String(serverPort), socket));
    await installControl(cluster);
    await cluster.namespace("shop", { "cardea.dev/inject": "enabled" });
    parts.control = await startReplica(cluster, "control-a", {
      listen: { host: network.node.ipv4, port: CONTROL_PORT },
      through: ["ip", "netns", "exec", network.node.namespace],
    });
    await until(
      () => cluster.must("GET", "/api/v1/namespaces/shop/configmaps/cardea-root-cert"),
      ({ data }) => data["root-cert.pem"] !== undefined,
    );
    const hosts = join(directory, "hosts");
    writeFileSync(hosts, `127.0.0.1 localhost\n${network.node.ipv4} cardea-control.cardea-system.svc\n`);
    const kubelet = { cluster, node: network.node, image: CHECKOUT, directory, hosts };
    meshed.push(...(await Promise.all(NAMES.map((name) => startPod(name, network, kubelet)))));
    const [web, orders, ledger] = meshed;
    const outside = await network.addPod("outside");
    await startApp(outside);
    const explain = async (pod: MeshPod, id: string): Promise<Replay> => {
      const line = pod.running.lines().find((each) => (JSON.parse(each) as KubeFlow).id === id)!;
      return replayFlow(parseFlowLine(line)!, {
        revisionsDirectory: await keepRevision(cluster, directory, line),
        meshFile: null,
      });
    };
    return { cluster, control: parts.control, web: web!, orders: orders!, ledger: ledger!, outside, explain, close };
  } catch (thrown) {
    await close();
    throw thrown;
  }
}

/** The policies as a control plane with a disk would have kept them, under the revision of a record. */
async function keepRevision(cluster: KubeCluster, directory: string, line: string): Promise<string> {
  const { revision } = JSON.parse(line) as { revision: string };
  const { items } = await cluster.must("GET", "/apis/security.istio.io/v1/authorizationpolicies");
  const documents = (items as AnyObject[]).map(({ apiVersion, kind, metadata: { name, namespace }, spec }) =>
    JSON.stringify({ apiVersion, kind, metadata: { name, namespace }, spec }),
  );
  const kept = {
    revision,
    settings: DEFAULT_MESH_SETTINGS,
    files: [{ path: "cluster", text: documents.join("\n---\n") }],
  };
  writeFileSync(join(directory, revisionFileName(revision)), formatRevisionFile(kept));
  return directory;
}

async function startPod(name: string, network: PodNetwork, kubelet: KubeletOptions): Promise<MeshPod> {
  const { cluster } = kubelet;
  const pod = await network.addPod(name);
  const at = "/api/v1/namespaces/shop";
  await cluster.must("POST", `${at}/serviceaccounts`, { metadata: { name } });
  const service = await cluster.must("POST", `${at}/services`, serviceOf(name));
  const made = await cluster.must("POST", `${at}/pods`, injectedPod(name));
  const podIPs = [pod.ipv4, pod.ipv6].map((ip) => ({ ip }));
  const status = { phase: "Pending", podIP: pod.ipv4, podIPs };
  const bound = await cluster.must("PATCH", `${at}/pods/${name}/status`, { status }, MERGE);
  const running = await startInitContainers(bound, pod, kubelet);
  await startApp(pod);
  // What the kubelet and the controller of EndpointSlices do once all its containers are ready.
  const ready = { phase: "Running", conditions: [{ type: "Ready", status: "True" }] };
  const object = await cluster.must("PATCH", `${at}/pods/${name}/status`, { status: ready }, MERGE);
  for (const slice of slicesOf(object, service))
    await cluster.must("POST", "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices", slice);
  return {
    network: pod,
    vip: service.spec.clusterIP as string,
    object: made,
    running,
    flows: () => running.lines().map((line) => JSON.parse(line) as KubeFlow),
  };
}

const PORTS = [
  { name: "http", port: 80, targetPort: 8_080 },
  { name: "grpc", port: 9_090, targetPort: 9_090 },
  { name: "tcp", port: 9_000, targetPort: 9_000 },
] as const;

function serviceOf(name: string): object {
  return {
    metadata: { name, labels: { app: name } },
    spec: { ipFamilyPolicy: "PreferDualStack", selector: { app: name }, ports: PORTS },
  };
}

/** As the webhook would have it, of a deployment's pod that says nothing of any mesh. */
function injectedPod(name: string): AnyObject {
  const pod = {
    metadata: { name, namespace: "shop", labels: { app: name } },
    spec: {
      serviceAccountName: name,
      automountServiceAccountToken: false,
      nodeName: "node-1",
      containers: [
        {
          name: "app",
          image: "app:1",
          ports: PORTS.map((port) => ({ name: port.name, containerPort: port.targetPort })),
        },
      ],
    },
  };
  return mustInject(pod).pod;
}

/** One for each address family, as the controller makes them. */
function slicesOf(pod: AnyObject, service: AnyObject): readonly object[] {
  const { name } = service.metadata;
  const targetRef = { kind: "Pod", namespace: "shop", name: pod.metadata.name, uid: pod.metadata.uid };
  return (pod.status.podIPs as { ip: string }[]).map(({ ip }) => {
    const addressType = ip.includes(":") ? "IPv6" : "IPv4";
    const conditions = { ready: true, serving: true, terminating: false };
    return {
      metadata: { name: `${name}-${addressType.toLowerCase()}`, labels: { "kubernetes.io/service-name": name } },
      addressType,
      endpoints: [{ addresses: [ip], conditions, nodeName: "node-1", targetRef }],
      ports: PORTS.map((port) => ({ name: port.name, port: port.targetPort, protocol: "TCP" })),
    };
  });
}

function firstLine(child: ReturnType<Pod["start"]>): Promise<void> {
  return new Promise((resolve, reject) => {
    child.stdout!.once("data", () => resolve());
    child.once("exit", (code) => reject(new Error(`the relay ended with ${code}`)));
  });
}
