import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type ProgramResult, runProgram } from "./programs.ts";

// A container as a node's runtime makes one, out of util-linux, overlayfs and capsh: a root that cannot be written to, a
// user, what capabilities it is left with, and no way to more. Runtimes proper want cgroups that test machines lack.

export interface ContainerSpec {
  /** The directory that its root is a read-only copy of. */
  readonly root: string;
  readonly command: readonly string[];
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly uid: number;
  /** e.g. `NET_ADMIN`; of all others it is rid. */
  readonly capabilities?: readonly string[];
  /** Directories and files of the machine, seen read-only unless it says otherwise. */
  readonly mounts?: readonly Mount[];
  /** The network namespace; null: one of its own, with a loopback device. */
  readonly network: string | null;
}

export interface Mount {
  readonly from: string;
  readonly to: string;
  readonly isWritable?: boolean;
}

/** Why there can be no containers here, in words for the name of a skipped suite; null: there can. */
export const whyNoContainers: string | null = missing();

function missing(): string | null {
  if (process.getuid?.() !== 0) return "needs root";
  try {
    execFileSync("sh", ["-c", "command -v unshare capsh ip"], { stdio: "ignore" });
    return null;
  } catch {
    return "needs unshare, capsh and ip";
  }
}

/** Runs one to its end. */
export async function runContainer(spec: ContainerSpec): Promise<ProgramResult> {
  const scratch = mkdtempSync(join(tmpdir(), "cardea-container-"));
  const [program, ...args] = commandOf(spec, scratch);
  const result = await runProgram(program!, args);
  rmSync(scratch, { recursive: true, force: true });
  return result;
}

/** Starts one. Signals to what is returned do not reach it: `firstProcessOf` names it, `killContainer` ends it. */
export function startContainer(spec: ContainerSpec): ChildProcess {
  const scratch = mkdtempSync(join(tmpdir(), "cardea-container-"));
  const [program, ...args] = commandOf(spec, scratch);
  const child = spawn(program!, args, { stdio: ["ignore", "pipe", "pipe"] });
  child.once("close", () => rmSync(scratch, { recursive: true, force: true }));
  return child;
}

/** The machine's id of a running container's first process. */
export function firstProcessOf(container: ChildProcess): number {
  return Number(execFileSync("ps", ["-o", "pid=", "--ppid", String(container.pid)], { encoding: "utf8" }).trim());
}

/** Whether its own program runs, on its own root: what sets it up is done. */
export function hasBegun(container: ChildProcess, { command: [program] }: Pick<ContainerSpec, "command">): boolean {
  try {
    const [first] = readFileSync(`/proc/${firstProcessOf(container)}/cmdline`, "utf8").split("\0");
    return first === program;
  } catch {
    return false;
  }
}

/** Runs one more program in a container that runs, as its user: an exec. */
export function runInContainer(
  container: ChildProcess,
  { env, uid }: Pick<ContainerSpec, "env" | "uid">,
  command: readonly string[],
): Promise<ProgramResult> {
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const into = ["-t", String(firstProcessOf(container)), "--mount", "--net", "--ipc", "--pid", "--root", "--wd"];
  const user = ["-S", String(uid), "-G", String(uid)];
  return runProgram("env", ["-i", ...variables, pathOf("nsenter"), ...into, ...user, "--", ...command]);
}

/** As a node's end does; resolves when nothing of it runs. */
export async function killContainer(container: ChildProcess): Promise<void> {
  if (container.exitCode !== null || container.signalCode !== null) return;
  const gone = new Promise((resolve) => void container.once("close", resolve));
  process.kill(firstProcessOf(container), "SIGKILL");
  await gone;
}

function commandOf(spec: ContainerSpec, scratch: string): string[] {
  const network = spec.network === null ? ["unshare", "--net"] : ["ip", "netns", "exec", spec.network];
  const separate = ["unshare", "--mount", "--ipc", "--pid", "--fork", "--kill-child=SIGKILL"];
  return [...network, ...separate, "sh", "-ec", setup(spec, scratch)];
}

/** What is above the root goes with the process: the mounts are in a namespace of its own. */
function setup(spec: ContainerSpec, scratch: string): string {
  const root = `${scratch}/root`;
  const { mounts = [], network } = spec;
  return [
    "mount --make-rprivate /",
    ...(network === null ? ["ip link set lo up"] : []),
    `mount -t tmpfs tmpfs ${scratch}`,
    `mkdir ${scratch}/upper ${scratch}/work ${root}`,
    `mount -t overlay overlay -o lowerdir=${spec.root},upperdir=${scratch}/upper,workdir=${scratch}/work ${root}`,
    // A link of the machine's leads to the machine, seen from here.
    `[ ! -L ${root}/var/run ] || ln -sfn ../run ${root}/var/run`,
    ...mounts.flatMap(({ from, to, isWritable = false }) => [
      statSync(from).isDirectory() ? `mkdir -p ${root}${to}` : `mkdir -p ${root}${dirname(to)}; touch ${root}${to}`,
      `mount --bind ${from} ${root}${to}`,
      ...(isWritable ? [] : [`mount -o remount,bind,ro ${root}${to}`]),
    ]),
    `mount -t proc proc ${root}/proc`,
    `mount -t tmpfs tmpfs ${root}/dev`,
    ...["null", "zero", "random", "urandom"].map((name) => `touch ${root}/dev/${name}`),
    ...["null", "zero", "random", "urandom"].map((name) => `mount --bind /dev/${name} ${root}/dev/${name}`),
    `mkdir -m 1777 ${root}/dev/shm`,
    `mount -o remount,ro ${root}`,
    `exec ${enter(spec, root).map(quoted).join(" ")}`,
  ].join("\n");
}

/** capsh does as it reads: the root, then fewer rights, then the user. */
function enter({ command, env, uid, capabilities = [] }: ContainerSpec, root: string): string[] {
  const [program, ...args] = command;
  const kept = new Set(capabilities.map((name) => `cap_${name.toLowerCase()}`));
  const dropped = allCapabilities().filter((name) => !kept.has(name));
  const user = [`--gid=${uid}`, "--groups=", ...(uid === 0 ? [] : [`--uid=${uid}`])];
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const rights = [`--chroot=${root}`, `--drop=${dropped.join(",")}`, ...user, "--no-new-privs"];
  return ["env", "-i", ...variables, pathOf("capsh"), ...rights, `--shell=${program!}`, "--", ...args];
}

function allCapabilities(): readonly string[] {
  const printed = execFileSync("capsh", ["--print"], { encoding: "utf8" });
  return /^Bounding set =(.*)$/m.exec(printed)![1]!.split(",");
}

function pathOf(program: string): string {
  return execFileSync("sh", ["-c", `command -v ${program}`], { encoding: "utf8" }).trim();
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
