import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseSpiffeId } from "../../src/core/spiffe-id.ts";
import { findFreePorts, keepUntilExit } from "../path/child.ts";
import { readCpuMs, readRssMiB } from "../path/process-times.ts";
import type { ControlPlace } from "./simulated-sidecar.ts";
import type { WorldFile } from "./world.ts";

/** `cardea control` as a process of its own, with its files in a directory. */
export interface ControlProcess {
  readonly stateDir: string;
  readonly place: ControlPlace;
  /** Null: the file is removed. */
  writeRegistry(name: string, text: string | null): void;
  writePolicy(name: string, text: string | null): void;
  cpuMs(): number;
  rssMiB(): number;
  /** From exec to the line that says so. */
  readonly readyAfterMs: number;
  stop(): Promise<void>;
  /** With the same files, on the same port. */
  start(): Promise<void>;
}

const MAIN = join(import.meta.dirname, "..", "..", "src", "main.ts");
const READY_WITHIN_MS = 120_000;

/** Writes the world's files and starts the program. */
export async function startControl(
  directory: string,
  world: { readonly registry: readonly WorldFile[]; readonly policies: readonly WorldFile[] },
): Promise<ControlProcess> {
  const stateDir = join(directory, "state");
  const policiesDir = join(directory, "policies");
  mkdirSync(join(stateDir, "registry"), { recursive: true, mode: 0o700 });
  mkdirSync(policiesDir);
  for (const { name, text } of world.registry) writeFileSync(join(stateDir, "registry", name), text);
  for (const { name, text } of world.policies) writeFileSync(join(policiesDir, name), text);
  const [port = 0, adminPort = 0] = await findFreePorts(2);
  const config = join(directory, "control.json");
  const listen = { host: "127.0.0.1", port };
  const admin = { host: "127.0.0.1", port: adminPort };
  writeFileSync(config, JSON.stringify({ name: "scale", stateDir, policiesDir, listen, admin, logLevel: "info" }));
  const logFile = join(directory, "control.log");
  let running = await run(config, logFile);
  return {
    stateDir,
    get place() {
      return { address: listen, spiffeId: running.spiffeId };
    },
    get readyAfterMs() {
      return running.readyAfterMs;
    },
    writeRegistry: (name, text) => put(join(stateDir, "registry", name), text),
    writePolicy: (name, text) => put(join(policiesDir, name), text),
    cpuMs: () => readCpuMs([running.child.pid!]),
    rssMiB: () => readRssMiB([running.child.pid!]),
    stop: () => end(running.child),
    async start() {
      running = await run(config, logFile);
    },
  };
}

interface Running {
  readonly child: ChildProcess;
  readonly spiffeId: ControlPlace["spiffeId"];
  readonly readyAfterMs: number;
}

/** Errors: when it ends, or is not ready in time, with the end of its log. */
function run(config: string, logFile: string): Promise<Running> {
  const startedMs = performance.now();
  const log = openSync(logFile, "a");
  const child = spawn(process.execPath, [MAIN, "control", "--config", config], { stdio: ["ignore", "pipe", log] });
  closeSync(log);
  keepUntilExit(child);
  return new Promise((resolve, reject) => {
    const fail = (what: string): void => reject(new Error(`${what}\n${readFileSync(logFile, "utf8").slice(-2_000)}`));
    const timer = setTimeout(() => fail("the control plane is not ready in time"), READY_WITHIN_MS);
    child.once("exit", () => fail("the control plane has ended"));
    child.stdout!.once("data", (line: Buffer) => {
      clearTimeout(timer);
      const { spiffeId } = JSON.parse(line.toString("utf8")) as { readonly spiffeId: string };
      resolve({ child, spiffeId: parseSpiffeId(spiffeId), readyAfterMs: performance.now() - startedMs });
    });
  });
}

async function end(child: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  await ended;
}

/** Whole or not at all, as editors and checkouts write. */
function put(path: string, text: string | null): void {
  if (text === null) {
    rmSync(path);
    return;
  }
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}
