import { chmodSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import type { Guide } from "./guide.ts";
import { type BarePod, type InstalledMesh, type MeshedPod, openInstalledMesh, type Replica } from "./installed-mesh.ts";
import type { AnyObject } from "./kube-cluster.ts";
import { bindPod, createPodsOf, publishEndpoints, setPodReady, setReadyReplicas } from "./kube-controllers.ts";
import { SYSTEM, until } from "./kube-control.ts";
import { killContainer } from "./container.ts";
import { runProgram } from "./programs.ts";

/** A mesh in which a person types what a guide says, while Deployments are rolled out as controllers would. */
export interface FollowedMesh {
  readonly mesh: InstalledMesh;
  /** Gives a block to a shell that has `cardea`, `helm`, the kubeconfig and the repository's `deploy`; its stdout. It must end well. */
  sh(block: string): Promise<string>;
  /** Gives all blocks of a guide's section to it, in their order, but for those that are left out by their first words. */
  follow(guide: Guide, section: string, leftOut?: readonly string[]): Promise<string>;
  /** Whether each pod of a namespace has a sidecar. */
  sidecarsIn(namespace: string): Promise<readonly boolean[]>;
  /** All replicas of control planes die, and nobody starts others until a Deployment changes. */
  killControl(): Promise<void>;
  /** The pod of a Deployment that runs now, in a namespace whose pods run. */
  podOf(namespace: string, deployment: string): BarePod;
  close(): Promise<void>;
}

export interface FollowedMeshOptions {
  /** Namespaces whose pods are processes; elsewhere they are objects. Their apps have HTTP at 8080 and their last port. */
  readonly running?: readonly string[];
}

const PROGRAM = fileURLToPath(new URL("../../bin/cardea.js", import.meta.url));
const DEPLOY = fileURLToPath(new URL("../../deploy", import.meta.url));
const APPS = "/apis/apps/v1";

export async function openFollowedMesh({ running = [] }: FollowedMeshOptions = {}): Promise<FollowedMesh> {
  const mesh = await openInstalledMesh();
  const { cluster } = mesh;
  const over = new AbortController();
  const pods = new Map<string, readonly (BarePod | MeshedPod)[]>();
  const rolledOut = new Map<string, number>();
  let replicas: readonly Replica[] = [];
  /** Why controllers try once more. */
  let lastTrouble = "";

  const shim = join(cluster.directory, "cardea");
  writeFileSync(shim, `#!/bin/sh\nexec '${process.execPath}' '${PROGRAM}' "$@"\n`);
  chmodSync(shim, 0o755);
  symlinkSync(DEPLOY, join(cluster.directory, "deploy"));
  if (process.env["HELM"] !== undefined) symlinkSync(process.env["HELM"], join(cluster.directory, "helm"));

  async function rollOutAll(): Promise<boolean> {
    const { items } = await cluster.must("GET", `${APPS}/deployments`);
    for (const each of items as AnyObject[])
      if (rolledOut.get(each.metadata.uid) !== each.metadata.generation) await rollOut(each);
    await collectReplicas(items as AnyObject[]);
    return over.signal.aborted;
  }

  const attemptAll = (): Promise<boolean> =>
    rollOutAll().catch((thrown: Error) => {
      lastTrouble = thrown.message;
      return over.signal.aborted;
    });

  async function rollOut(deployment: AnyObject): Promise<void> {
    await (deployment.metadata.namespace === SYSTEM ? rollOutControl(deployment) : rollOutPods(deployment));
    rolledOut.set(deployment.metadata.uid, deployment.metadata.generation);
  }

  async function rollOutControl({ metadata }: AnyObject): Promise<void> {
    const old = replicas.filter((each) => each.of === metadata.name);
    replicas = [...replicas.filter((each) => !old.includes(each)), ...(await mesh.startReplicas(metadata.name))];
    for (const each of old) await mesh.killReplica(each);
  }

  /** Those whose Deployment is gone. */
  async function collectReplicas(deployments: readonly AnyObject[]): Promise<void> {
    const there = deployments.filter(({ metadata }) => metadata.namespace === SYSTEM).map((each) => each.metadata.name);
    for (const each of replicas.filter(({ of }) => !there.includes(of))) {
      replicas = replicas.filter((other) => other !== each);
      await mesh.killReplica(each);
    }
  }

  async function rollOutPods(deployment: AnyObject): Promise<void> {
    const { namespace, name } = deployment.metadata;
    const key = `${namespace}/${name}`;
    const selector = Object.entries(deployment.spec.selector.matchLabels as Record<string, string>)
      .map((pair) => pair.join("="))
      .join(",");
    await cluster.kubectl(["delete", "pods", "-n", namespace, "-l", selector, "--force", "--wait=true"]);
    for (const old of pods.get(key) ?? []) if ("running" in old) await killContainer(old.running.container);
    const made = await createPodsOf(cluster, deployment);
    if (running.includes(namespace)) {
      pods.set(key, await Promise.all(made.map(startPod)));
      await publishServices(namespace);
    } else for (const pod of made) await setPodReady(cluster, await bindPod(cluster, pod, ["10.88.0.9"]));
    await setReadyReplicas(cluster, deployment, made.length);
  }

  function startPod(pod: AnyObject): Promise<BarePod | MeshedPod> {
    const ports = (pod.spec.containers as AnyObject[]).flatMap(({ name, ports: own = [] }) =>
      name === "cardea-proxy" ? [] : own,
    );
    const httpPort = (ports.at(-1)?.containerPort as number | undefined) ?? 8_080;
    return hasSidecar(pod) ? mesh.startPod(pod, httpPort) : mesh.startBarePod(pod, httpPort);
  }

  async function publishServices(namespace: string): Promise<void> {
    const { items } = await cluster.must("GET", `/api/v1/namespaces/${namespace}/services`);
    const objects = [...pods].flatMap(([key, some]) =>
      key.startsWith(`${namespace}/`) ? some.map(({ object }) => object) : [],
    );
    for (const service of items as AnyObject[])
      await publishEndpoints(
        cluster,
        service,
        objects.filter(({ metadata }) => isSelected(service, metadata.labels)),
      );
  }

  async function sh(block: string): Promise<string> {
    const { directory, kubeconfig } = cluster;
    const environment = [
      `PATH=${directory}:${process.env["PATH"]!}`,
      `HOME=${directory}`,
      `KUBECONFIG=${kubeconfig}`,
      "NO_COLOR=1",
    ];
    const script = `cd ${directory}; ${block}`;
    const { code, stdout, stderr } = await runProgram("env", [...environment, "bash", "-eo", "pipefail", "-c", script]);
    expect({ block, code, stdout, stderr, lastTrouble }).toMatchObject({ code: 0 });
    return stdout;
  }

  // Deployments are rolled out until the test is over.
  const controllers = until(attemptAll, (isOver) => isOver, 900_000);
  return {
    mesh,
    sh,
    async follow(guide, section, leftOut = []) {
      const blocks = guide.get(section)!.filter((block) => !leftOut.some((words) => block.startsWith(words)));
      expect(blocks.length).toBeGreaterThan(0);
      const printed: string[] = [];
      for (const block of blocks) printed.push(await sh(block));
      return printed.join("");
    },
    async sidecarsIn(namespace) {
      const { items } = await cluster.must("GET", `/api/v1/namespaces/${namespace}/pods`);
      return (items as AnyObject[]).map(hasSidecar);
    },
    async killControl() {
      for (const each of replicas) await mesh.killReplica(each);
      replicas = [];
    },
    podOf(namespace, deployment) {
      const [pod] = pods.get(`${namespace}/${deployment}`) ?? [];
      if (pod === undefined) throw new Error(`no pod of ${namespace}/${deployment} runs`);
      return pod;
    },
    async close() {
      over.abort();
      await controllers;
      await mesh.close();
    },
  };
}

function isSelected({ spec }: AnyObject, labels: Readonly<Record<string, string>>): boolean {
  const selector = Object.entries((spec.selector ?? {}) as Record<string, string>);
  return selector.length > 0 && selector.every(([key, text]) => labels[key] === text);
}

function hasSidecar({ spec }: AnyObject): boolean {
  return (spec.initContainers ?? []).some(({ name }: AnyObject) => name === "cardea-proxy");
}
