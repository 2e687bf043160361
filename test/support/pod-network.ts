import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type ProgramResult, runProgram } from "./programs.ts";

// Pods as network namespaces that a bridge joins, with apps, sidecars and a control plane as processes of their own.

export const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const APP = fileURLToPath(new URL("pod-app.ts", import.meta.url));

export const APP_UID = 1_000;
export const SIDECAR_UID = 1_337;

/** One network namespace. */
export interface Pod {
  readonly name: string;
  /** Its name to `ip netns`. */
  readonly namespace: string;
  readonly ipv4: string;
  readonly ipv6: string;
  /** Runs a program in it to its end. */
  run(uid: number, program: string, ...args: string[]): Promise<ProgramResult>;
  /** Starts one; it ends with the network. */
  start(uid: number, program: string, ...args: string[]): ChildProcess;
}

export interface PodNetwork {
  /** Where the bridge is, and no sidecar: the node. */
  readonly node: Pod;
  addPod(name: string): Promise<Pod>;
  close(): Promise<void>;
}

export async function openPodNetwork(): Promise<PodNetwork> {
  const prefix = `cardea${process.pid}`;
  const processes: ChildProcess[] = [];
  const pods: Pod[] = [];
  const node = pod(`${prefix}-node`, "node", 1);

  function pod(namespace: string, name: string, number: number): Pod {
    const enter = (uid: number) => {
      const privileges = uid === 0 ? [] : ["--bounding-set=-all", "--inh-caps=-all"];
      const user = [`--reuid=${uid}`, `--regid=${uid}`, "--clear-groups", ...privileges];
      return ["netns", "exec", namespace, "setpriv", ...user];
    };
    const made: Pod = {
      name,
      namespace,
      ipv4: `10.77.0.${number}`,
      ipv6: `fd77::${number}`,
      run: (uid, program, ...args) => runProgram("ip", [...enter(uid), program, ...args]),
      start(uid, program, ...args) {
        const child = spawn("ip", [...enter(uid), program, ...args], { stdio: ["ignore", "pipe", "pipe"] });
        processes.push(child);
        return child;
      },
    };
    pods.push(made);
    return made;
  }

  await run("ip", "netns", "add", `${prefix}-node`);
  await inside(`${prefix}-node`, "link", "set", "lo", "up");
  await inside(`${prefix}-node`, "link", "add", "bridge", "type", "bridge");
  await addAddresses(`${prefix}-node`, "bridge", node);

  return {
    node,
    async addPod(name) {
      const namespace = `${prefix}-${name}`;
      const added = pod(namespace, name, 10 + pods.length);
      await run("ip", "netns", "add", namespace);
      await inside(namespace, "link", "set", "lo", "up");
      await inside(namespace, "link", "add", "eth0", "type", "veth", "peer", "name", name, "netns", `${prefix}-node`);
      await inside(`${prefix}-node`, "link", "set", name, "master", "bridge", "up");
      await addAddresses(namespace, "eth0", added);
      // Where services' own addresses would lead, if nobody captured what goes there.
      await inside(namespace, "route", "add", "default", "via", node.ipv4);
      await inside(namespace, "-6", "route", "add", "default", "via", node.ipv6);
      return added;
    },
    async close() {
      const running = processes.filter((child) => child.exitCode === null && child.signalCode === null);
      const gone = running.map((child) => new Promise((resolve) => void child.once("close", resolve)));
      for (const child of running) child.kill("SIGKILL");
      await Promise.all(gone);
      for (const { name } of pods) await runProgram("ip", ["netns", "delete", `${prefix}-${name}`]);
    },
  };
}

/** An app in a pod, with HTTP on 8080 and perhaps another port, too; resolves when it serves. */
export async function startApp(pod: Pod, httpPort = 8_080): Promise<void> {
  const child = pod.start(0, process.execPath, APP, "serve", pod.name, String(httpPort));
  await new Promise<void>((resolve, reject) => {
    child.stdout!.once("data", () => resolve());
    child.once("exit", (code) => reject(new Error(`the app of ${pod.name} ended with ${code}`)));
  });
}

/** One call of the app, whose answer is printed. */
export async function callApp(pod: Pod, uid: number, ...args: string[]): Promise<string> {
  return (await pod.run(uid, process.execPath, APP, ...args)).stdout.trim();
}

async function addAddresses(namespace: string, device: string, { ipv4, ipv6 }: Pod): Promise<void> {
  await inside(namespace, "address", "add", `${ipv4}/24`, "dev", device);
  await inside(namespace, "address", "add", `${ipv6}/64`, "dev", device, "nodad");
  await inside(namespace, "link", "set", device, "up");
}

function inside(namespace: string, ...args: string[]): Promise<void> {
  return run("ip", "-n", namespace, ...args);
}

async function run(program: string, ...args: string[]): Promise<void> {
  const { code, stderr } = await runProgram(program, args);
  if (code !== 0) throw new Error(`${program} ${args.join(" ")}: ${stderr}`);
}
