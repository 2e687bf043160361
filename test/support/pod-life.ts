import type { ChildProcess } from "node:child_process";
import { IMAGE } from "../../src/core/image.ts";
import {
  type ContainerSpec,
  firstProcessOf,
  hasBegun,
  killContainer,
  runContainer,
  runInContainer,
  startContainer,
} from "./container.ts";
import type { AnyObject } from "./kube-cluster.ts";
import { eventually } from "./local-mesh.ts";
import { APP_UID, type Pod } from "./pod-network.ts";
import { containerSpec, type KubeletOptions, type RunningPod, untilStarted, watched } from "./tiny-kubelet.ts";

// A pod's life from its first container to its last, as a kubelet has it: all containers are processes, the app's too.
// Native sidecars (KEP-753) are waited for, and end after the app; plain containers start in their order, each after the
// postStart hook of the one before, and are told to end at the same time.

/** Of a container that has ended. */
export interface Ended {
  readonly code: number | null;
  /** It did not end within the grace period. */
  readonly wasKilled: boolean;
}

export interface LivingPod {
  /** Every container that was started, by its name. */
  readonly containers: ReadonlyMap<string, RunningPod>;
  /** Resolves when all containers of the app have started; rejects when one could not. */
  readonly started: Promise<void>;
  /** With restartPolicy Never: what the pod's phase is, once nothing of it runs. */
  phase(): Promise<"Succeeded" | "Failed">;
  /** Tells it to end, as the deletion of the pod does; how each container ended, in that order. */
  terminate(): Promise<ReadonlyMap<string, Ended>>;
  close(): Promise<void>;
}

export function startPodLife(pod: AnyObject, network: Pod, options: KubeletOptions): LivingPod {
  const containers = new Map<string, RunningPod>();
  const { initContainers = [], containers: apps } = pod.spec as Record<string, AnyObject[]>;
  const sidecars = initContainers.filter(({ restartPolicy }) => restartPolicy === "Always").map(({ name }) => name);
  const graceMs = (pod.spec.terminationGracePeriodSeconds as number) * 1_000;

  async function start(): Promise<void> {
    for (const each of initContainers) {
      const spec = await containerSpec(each, pod, network, options);
      if (each.restartPolicy === "Always") {
        await untilStarted(each.startupProbe.httpGet, network, { ...options, running: run(each, spec) });
        continue;
      }
      const { code, stderr } = await runContainer(spec);
      if (code !== 0) throw new Error(`${each.name as string} ended with ${code}: ${stderr}`);
    }
    for (const each of apps!) await startApp(each);
  }

  async function startApp(each: AnyObject): Promise<void> {
    const isOurs = each.name === "cardea-proxy";
    const spec = isOurs ? await containerSpec(each, pod, network, options) : appSpec(each, network, options);
    const { container } = run(each, spec);
    const hook = each.lifecycle?.postStart?.exec?.command as readonly string[] | undefined;
    if (hook === undefined) return;
    await eventually(() => Promise.resolve(hasBegun(container, spec)), 10_000);
    const { code, stderr } = await runInContainer(container, spec, commandIn(hook, options));
    if (code !== 0) throw new Error(`the postStart hook of ${each.name as string} ended with ${code}: ${stderr}`);
  }

  function run({ name }: AnyObject, spec: ContainerSpec): RunningPod {
    const running = watched(startContainer(spec));
    containers.set(name as string, running);
    return running;
  }

  const isRunning = (name: string): boolean => hasEnded(containers.get(name)!.container) === null;

  /** SIGTERM, and SIGKILL at the deadline. */
  async function end(name: string, deadlineMs: number, ended: Map<string, Ended>): Promise<void> {
    const { container } = containers.get(name)!;
    if (isRunning(name)) process.kill(firstProcessOf(container), "SIGTERM");
    const deadline = Promise.withResolvers<false>();
    const timer = setTimeout(() => deadline.resolve(false), Math.max(0, deadlineMs - performance.now()));
    const inTime = await Promise.race([exited(container).then(() => true), deadline.promise]);
    clearTimeout(timer);
    if (!inTime) await killContainer(container);
    ended.set(name, { code: container.exitCode, wasKilled: !inTime });
  }

  async function endAll(names: readonly string[], deadlineMs: number, ended: Map<string, Ended>): Promise<void> {
    await Promise.all(names.filter((name) => containers.has(name)).map((name) => end(name, deadlineMs, ended)));
  }

  const appNames = apps!.map(({ name }) => name as string);
  const started = start();
  started.catch(() => {});
  return {
    containers,
    started,
    async phase() {
      await started;
      await Promise.all(appNames.map((name) => exited(containers.get(name)!.container)));
      const codes = appNames.map((name) => containers.get(name)!.container.exitCode);
      const ended = new Map<string, Ended>();
      await endAll(sidecars.toReversed(), performance.now() + graceMs, ended);
      const killed = [...ended].filter(([, { wasKilled }]) => wasKilled).map(([name]) => name);
      if (killed.length > 0) throw new Error(`${killed.join()} had to be killed`);
      return codes.every((code) => code === 0) ? "Succeeded" : "Failed";
    },
    async terminate() {
      const ended = new Map<string, Ended>();
      const deadlineMs = performance.now() + graceMs;
      await endAll(appNames, deadlineMs, ended);
      await endAll(sidecars.toReversed(), deadlineMs, ended);
      return ended;
    },
    async close() {
      for (const { container } of containers.values()) await killContainer(container);
    },
  };
}

/** The app's, of whose image is taken what the machine has. */
function appSpec({ command, args = [] }: AnyObject, network: Pod, { image, hosts }: KubeletOptions): ContainerSpec {
  return {
    root: image.root,
    command: [...command, ...args],
    env: { PATH: "/usr/local/bin:/usr/bin:/bin" },
    uid: APP_UID,
    mounts: [{ from: hosts, to: "/etc/hosts" }],
    network: network.namespace,
  };
}

/** The image's program is the checkout's here. */
function commandIn(hook: readonly string[], { image }: KubeletOptions): readonly string[] {
  const isOurs = IMAGE.program.every((word, index) => word === hook[index]);
  return isOurs ? [...image.entrypoint, ...hook.slice(IMAGE.program.length)] : hook;
}

function hasEnded({ exitCode, signalCode }: ChildProcess): number | NodeJS.Signals | null {
  return exitCode ?? signalCode;
}

function exited(child: ChildProcess): Promise<void> {
  return hasEnded(child) === null
    ? new Promise((resolve) => void child.once("close", () => resolve()))
    : Promise.resolve();
}
