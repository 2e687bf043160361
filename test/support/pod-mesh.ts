import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mintJoinToken } from "../../src/control/ca/join-token.ts";
import { POD_PORTS } from "../../src/core/pod-ports.ts";
import type { Address } from "../../src/core/ports.ts";
import { parseSpiffeId } from "../../src/core/spiffe-id.ts";
import { systemClock } from "../../src/io/clock.ts";
import { createSystemRandom } from "../../src/io/random.ts";
import { openStateFiles } from "../../src/io/state-files.ts";
import { eventually } from "./local-mesh.ts";
import { MAIN, openPodNetwork, type Pod, SIDECAR_UID, startApp } from "./pod-network.ts";

/** web, orders and ledger, each with an app and a sidecar in a network of its own, and `outside` with neither. */
export interface PodMesh {
  readonly web: Pod;
  readonly orders: Pod;
  readonly ledger: Pod;
  readonly outside: Pod;
  readonly node: Pod;
  /** Flow records of a sidecar, the newest last. */
  flows(pod: Pod): readonly FlowLine[];
  close(): Promise<void>;
}

export interface FlowLine {
  readonly verdict: string;
  readonly reason: string;
  readonly protocol: string;
  readonly source: { readonly ip: string };
  readonly destination: { readonly ip: string; readonly port: number };
}

/** Addresses of the services; those of `-set` have none, and are found by their workloads'. */
export const VIP = { web: "10.96.0.11", orders: "10.96.0.12", ledger: "10.96.0.13" } as const;
export const VIP6 = { web: "fd96::11", orders: "fd96::12", ledger: "fd96::13" } as const;

const SERVED = [
  { number: 80, name: "http", protocol: "HTTP", targetPort: 8_080 },
  { number: 9_090, name: "grpc", protocol: "GRPC", targetPort: 9_090 },
  { number: 9_000, name: "tcp", protocol: "TCP", targetPort: 9_000 },
  { number: 9_025, name: "smtp", protocol: "TCP", targetPort: 9_025 },
];

export async function openPodMesh(policies: string): Promise<PodMesh> {
  const directory = mkdtempSync(join(tmpdir(), "cardea-pods-"));
  chmodSync(directory, 0o755);
  for (const each of ["state", "state/registry", "policies", "pods"]) mkdirSync(join(directory, each));
  chmodSync(join(directory, "pods"), 0o777);
  const network = await openPodNetwork();
  try {
    const [web, orders, ledger] = [
      await network.addPod("web"),
      await network.addPod("orders"),
      await network.addPod("ledger"),
    ];
    const outside = await network.addPod("outside");
    const meshed = [web, orders, ledger];
    writeFileSync(join(directory, "policies", "all.yaml"), policies);
    for (const pod of meshed) writeFileSync(join(directory, "state/registry", `${pod.name}.json`), registryOf(pod));
    await startControl(network.node, directory);
    await Promise.all(meshed.map((pod) => startPod(pod, network.node, directory)));
    await startApp(outside);
    return {
      web,
      orders,
      ledger,
      outside,
      node: network.node,
      flows: (pod) => readFlows(join(directory, "pods", `${pod.name}.jsonl`)),
      async close() {
        await network.close();
        rmSync(directory, { recursive: true, force: true });
      },
    };
  } catch (thrown) {
    await network.close();
    throw thrown;
  }
}

async function startControl(node: Pod, directory: string): Promise<void> {
  const config = {
    name: "pods",
    stateDir: join(directory, "state"),
    policiesDir: join(directory, "policies"),
    listen: { host: node.ipv4, port: 15_012 },
    admin: { host: "127.0.0.1", port: 15_014 },
  };
  writeFileSync(join(directory, "control.json"), JSON.stringify(config));
  const child = node.start(0, process.execPath, MAIN, "control", "--config", join(directory, "control.json"));
  await new Promise<void>((resolve, reject) => {
    child.stdout!.once("data", () => resolve());
    child.once("exit", (code) => reject(new Error(`the control plane ended with ${code}`)));
  });
  // The root is no secret; what else is there is the authority's.
  writeFileSync(join(directory, "pods", "root.pem"), readFileSync(join(directory, "state/ca/root.pem")));
}

async function startPod(pod: Pod, node: Pod, directory: string): Promise<void> {
  await startApp(pod);
  const at = (name: string) => join(directory, "pods", name);
  const spiffeId = parseSpiffeId(`spiffe://cluster.local/ns/shop/sa/${pod.name}`);
  const minting = { files: openStateFiles(join(directory, "state")), clock: systemClock, random: createSystemRandom() };
  writeFileSync(at(`${pod.name}.token`), `${await mintJoinToken(minting, { spiffeId })}\n`);
  const config = {
    name: pod.name,
    namespace: "shop",
    serviceAccount: pod.name,
    trustDomain: "cluster.local",
    labels: { app: pod.name },
    control: {
      address: { host: node.ipv4, port: 15_012 },
      spiffeId: "spiffe://cluster.local/ns/cardea-system/sa/cardea-control",
      rootFile: at("root.pem"),
    },
    joinTokenFile: at(`${pod.name}.token`),
    outbound: { host: "127.0.0.1", port: POD_PORTS.forwardProxy },
    upstreams: [],
    inbound: [],
    hbone: everywhere(POD_PORTS.hbone),
    admin: { host: "127.0.0.1", port: POD_PORTS.admin },
    metrics: everywhere(POD_PORTS.metrics),
    readiness: everywhere(POD_PORTS.readiness),
    flowFile: at(`${pod.name}.jsonl`),
    ownPorts: Object.values(POD_PORTS),
    drainTimeoutMs: 1_000,
    certTtlSec: 3_600,
    redirect: {
      outbound: everywhere(POD_PORTS.outbound),
      inbound: everywhere(POD_PORTS.inbound),
      podIps: [pod.ipv4, pod.ipv6],
    },
  };
  writeFileSync(at(`${pod.name}.json`), JSON.stringify(config));
  const child = pod.start(SIDECAR_UID, process.execPath, MAIN, "proxy", "--config", at(`${pod.name}.json`));
  let log = "";
  child.stderr!.on("data", (chunk: Buffer) => (log += chunk.toString()));
  const ready = ["-s", "-o", "/dev/null", "-f", `http://127.0.0.1:${POD_PORTS.readiness}/healthz/ready`];
  await eventually(async () => {
    if (child.exitCode !== null) throw new Error(`the sidecar of ${pod.name} ended: ${log}`);
    return (await pod.run(0, "curl", ...ready)).code === 0;
  }, 60_000);
}

function readFlows(path: string): readonly FlowLine[] {
  const lines = readFileSync(path, "utf8").trim().split("\n");
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as FlowLine);
}

/** A service with addresses, one without, and a workload at each of the pod's addresses. */
function registryOf({ name, ipv4, ipv6 }: Pod): string {
  const key = name as keyof typeof VIP;
  const labels = { app: name, "networking.istio.io/tunnel": "http" };
  const selected = { workloadSelector: { labels: { app: name } } };
  const headless = [{ number: 8_080, name: "http", protocol: "HTTP" }];
  const items = [
    entry("ServiceEntry", name, { hosts: [host(name)], addresses: [VIP[key], VIP6[key]], ports: SERVED, ...selected }),
    entry("ServiceEntry", `${name}-set`, { hosts: [host(`${name}-set`)], ports: headless, ...selected }),
    entry("WorkloadEntry", name, { address: ipv4, labels, serviceAccount: name }),
    entry("WorkloadEntry", `${name}-6`, { address: ipv6, labels, serviceAccount: name }),
  ];
  return JSON.stringify({ apiVersion: "v1", kind: "List", items });
}

function entry(kind: string, name: string, spec: object): object {
  return { apiVersion: "networking.istio.io/v1", kind, metadata: { name, namespace: "shop" }, spec };
}

function host(service: string): string {
  return `${service}.shop.svc.cluster.local`;
}

function everywhere(port: number): Address {
  return { host: "::", port };
}
