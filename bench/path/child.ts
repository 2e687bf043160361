import { type ChildProcess, spawn } from "node:child_process";
import { openSync, closeSync, readFileSync } from "node:fs";
import { createServer } from "node:net";

const GRACE_MS = 8_000;
const living = new Set<ChildProcess>();
// Whatever happens to the bench, what it started goes with it.
process.on("exit", () => living.forEach((child) => child.kill("SIGKILL")));

/** Ends a process with this one, whatever happens. */
export function keepUntilExit(child: ChildProcess): void {
  living.add(child);
  child.once("exit", () => living.delete(child));
}

/** Ends everything that was started, in good order where it heeds SIGTERM: `cardea up` has processes of its own to end. */
export async function endAll(): Promise<void> {
  const ended = [...living].map((child) => new Promise((resolve) => child.once("exit", resolve)));
  for (const child of living) child.kill("SIGTERM");
  const timer = setTimeout(() => living.forEach((child) => child.kill("SIGKILL")), GRACE_MS);
  await Promise.all(ended);
  clearTimeout(timer);
}

/** A process of ours whose output goes to a file. */
export interface Child {
  readonly pid: number;
  /** Its output so far, for a message. */
  output(): string;
  hasEnded(): boolean;
  /** SIGTERM, and SIGKILL to who does not heed it. */
  close(): Promise<void>;
}

/** Starts a program. Errors: when it can't be started at all. */
export function startChild(program: string, args: readonly string[], logFile: string): Child {
  const log = openSync(logFile, "a");
  const child = spawn(program, args, { stdio: ["ignore", log, log] });
  closeSync(log);
  // Without a listener an error would end the bench; `pid` below tells the same.
  child.on("error", () => {});
  if (child.pid === undefined) throw new Error(`${program} can't be started`);
  keepUntilExit(child);
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null;
  return {
    pid: child.pid,
    output: () => readFileSync(logFile, "utf8").slice(-2_000),
    hasEnded,
    async close() {
      if (hasEnded()) return;
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), GRACE_MS);
      await ended;
      clearTimeout(timer);
    },
  };
}

/** Runs a program to its end and gives what it printed. Errors: when it fails or takes too long. */
export function runToEnd(program: string, args: readonly string[], timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], timeout: timeoutMs });
    keepUntilExit(child);
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString("latin1")));
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString("latin1")));
    child.once("error", reject);
    child.once("close", (code) => {
      if (code === 0) resolve(stdout);
      else reject(new Error(`${program} ended with ${code}: ${stderr.slice(-500)}${stdout.slice(-500)}`));
    });
  });
}

/** Ports of 127.0.0.1 that nobody listens on. All are held until all are found, so that they differ. */
export async function findFreePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, () => {
      const server = createServer();
      return new Promise<typeof server>((resolve, reject) => {
        server.once("error", reject);
        server.listen(0, "127.0.0.1", () => resolve(server));
      });
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
