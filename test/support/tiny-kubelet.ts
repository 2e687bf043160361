import type { ChildProcess } from "node:child_process";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type ContainerSpec, type Mount, runContainer, startContainer } from "./container.ts";
import type { AnyObject, KubeCluster } from "./kube-cluster.ts";
import { eventually } from "./local-mesh.ts";
import type { Pod } from "./pod-network.ts";

// What a kubelet does with our containers of a pod, by the pod that the API server has: its variables, volumes and
// rights, the order of its start and of its end. The app is the test's own process.

export interface KubeletOptions {
  readonly cluster: KubeCluster;
  /** From where it asks how they are. */
  readonly node: Pod;
  /** The image: where its files are, and what its entry point is. */
  readonly image: { readonly root: string; readonly entrypoint: readonly string[]; readonly env: ContainerSpec["env"] };
  /** For volumes. */
  readonly directory: string;
  /** Seen in every container: the names of services, which no DNS server tells here. */
  readonly hosts: string;
  /** Variables that every container gets: where the API server is. */
  readonly env?: ContainerSpec["env"];
}

/** Our part of a pod, while it runs; who starts it ends it by `killContainer`. */
export interface RunningPod {
  /** The sidecar's container, or a pod's only one; flow records are lines of its stdout. */
  readonly container: ChildProcess;
  /** Lines of its stdout so far. */
  lines(): readonly string[];
  log(): string;
}

/** Runs the init containers in their order, the sidecar among them until it has started. Then the app may start. */
export async function startInitContainers(pod: AnyObject, network: Pod, options: KubeletOptions): Promise<RunningPod> {
  let running: RunningPod | null = null;
  for (const container of pod.spec.initContainers as AnyObject[]) {
    const spec = await containerSpec(container, pod, network, options);
    if (container.restartPolicy === "Always") {
      running = watched(startContainer(spec));
      await untilStarted(container.startupProbe.httpGet, network, { ...options, running });
      continue;
    }
    const { code, stderr } = await runContainer(spec);
    if (code !== 0) throw new Error(`${container.name as string} of ${network.name} ended with ${code}: ${stderr}`);
  }
  if (running === null) throw new Error(`${network.name} has no sidecar that starts before its app`);
  return running;
}

/** Runs a pod's only container, until its startup probe is answered. */
export async function startOnlyContainer(pod: AnyObject, network: Pod, options: KubeletOptions): Promise<RunningPod> {
  const [container, ...others] = pod.spec.containers as AnyObject[];
  if (others.length > 0) throw new Error(`${network.name} has more than one container`);
  const running = watched(startContainer(await containerSpec(container, pod, network, options)));
  await untilStarted(container.startupProbe.httpGet, network, { ...options, running });
  return running;
}

/** A container of ours, as its manifest has it. */
export async function containerSpec(
  container: AnyObject,
  pod: AnyObject,
  network: Pod,
  options: KubeletOptions,
): Promise<ContainerSpec> {
  const { image, hosts, env = {} } = options;
  const security = { ...pod.spec.securityContext, ...container.securityContext };
  const { runAsUser, capabilities, readOnlyRootFilesystem } = security;
  if (readOnlyRootFilesystem !== true) throw new Error(`${container.name as string} could write to its root`);
  const mounts = await Promise.all(
    (container.volumeMounts as AnyObject[]).map((mount) => volumeOf(mount, pod, options)),
  );
  return {
    root: image.root,
    command: [...image.entrypoint, ...(container.args as string[])],
    env: { ...image.env, ...env, ...environment(container, pod) },
    uid: runAsUser as number,
    capabilities: (capabilities.add as string[] | undefined) ?? [],
    mounts: [...mounts, { from: hosts, to: "/etc/hosts" }],
    network: network.namespace,
  };
}

function environment({ env = [] }: AnyObject, pod: AnyObject): Record<string, string> {
  return Object.fromEntries(
    (env as AnyObject[]).map(({ name, value, valueFrom }) => [name, valueFrom ? fieldOf(valueFrom, pod) : value]),
  ) as Record<string, string>;
}

/** The downward API: a field by its path, lists by commas. */
function fieldOf({ fieldRef }: AnyObject, pod: AnyObject): string {
  if (fieldRef.fieldPath === "status.podIPs") return pod.status.podIPs.map(({ ip }: AnyObject) => ip).join(",");
  const value = (fieldRef.fieldPath as string).split(".").reduce((at: AnyObject, key) => at[key], pod);
  if (typeof value !== "string") throw new Error(`no field ${fieldRef.fieldPath as string}`);
  return value;
}

async function volumeOf(
  { name, mountPath, readOnly }: AnyObject,
  pod: AnyObject,
  options: KubeletOptions,
): Promise<Mount> {
  const volume = (pod.spec.volumes as AnyObject[]).find((each) => each.name === name);
  const from = join(options.directory, pod.metadata.name as string, name as string);
  mkdirSync(from, { recursive: true, mode: 0o755 });
  // As Kubernetes makes it, whoever runs in the pod.
  if (volume?.emptyDir !== undefined) chmodSync(from, 0o777);
  for (const [file, text] of Object.entries(await filesOf(volume, pod, options)))
    writeFileSync(join(from, file), text, { mode: 0o644 });
  return { from, to: mountPath as string, isWritable: readOnly !== true };
}

async function filesOf(
  volume: AnyObject,
  pod: AnyObject,
  { cluster }: KubeletOptions,
): Promise<Record<string, string>> {
  if (volume.emptyDir !== undefined) return {};
  const sources = (volume.projected?.sources as AnyObject[] | undefined) ?? [volume];
  const files = await Promise.all(sources.map((source) => filesOfSource(source, pod, cluster)));
  return Object.assign({}, ...files) as Record<string, string>;
}

async function filesOfSource(
  { configMap, downwardAPI, serviceAccountToken }: AnyObject,
  pod: AnyObject,
  cluster: KubeCluster,
): Promise<Record<string, string>> {
  const { namespace, name, uid } = pod.metadata;
  if (configMap !== undefined) {
    const { data } = await cluster.must("GET", `/api/v1/namespaces/${namespace}/configmaps/${configMap.name}`);
    const items = configMap.items as readonly { key: string; path: string }[] | undefined;
    return items === undefined ? data : Object.fromEntries(items.map(({ key, path }) => [path, data[key] as string]));
  }
  if (downwardAPI !== undefined)
    return Object.fromEntries((downwardAPI.items as AnyObject[]).map((each) => [each.path, linesOf(each, pod)]));
  const { audience, expirationSeconds, path } = serviceAccountToken;
  const audiences = audience === undefined ? {} : { audiences: [audience as string] };
  const bound = { ...audiences, ttlSec: expirationSeconds, pod: { name, uid } };
  return { [path]: await cluster.token(namespace, pod.spec.serviceAccountName, bound) };
}

/** A field in a file: maps have a line for each key. */
function linesOf(item: AnyObject, pod: AnyObject): string {
  if (item.fieldRef.fieldPath !== "metadata.labels") return fieldOf(item, pod);
  const labels = Object.entries(pod.metadata.labels as Record<string, string>);
  return labels.map(([key, value]) => `${key}="${value}"`).join("\n");
}

/** Keeps what a container says. */
export function watched(container: ChildProcess): RunningPod {
  let [stdout, stderr] = ["", ""];
  container.stdout!.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  container.stderr!.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  return {
    container,
    lines: () => stdout.split("\n").slice(0, -1),
    log: () => stderr,
  };
}

/** Until the startup probe's answer is good; throws when the container has ended. */
export async function untilStarted(
  { path, port }: AnyObject,
  network: Pod,
  { node, running }: KubeletOptions & { readonly running: RunningPod },
): Promise<void> {
  await eventually(async () => {
    if (running.container.exitCode !== null)
      throw new Error(`the container of ${network.name} ended: ${running.log()}`);
    const url = `http://${network.ipv4}:${port}${path}`;
    return (await node.run(0, "curl", "-s", "-o", "/dev/null", "-f", url)).code === 0;
  }, 60_000);
}
