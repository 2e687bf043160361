import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { once } from "node:events";
import { eventually } from "./local-mesh.ts";

/** Whether this machine has a Prometheus of its own. */
export const HAS_PROMETHEUS = spawnSync("prometheus", ["--version"]).error === undefined;

/** A real Prometheus on loopback, with a store that goes with it. */
export interface RunningPrometheus {
  /** The `data` of an answer of its HTTP API. Throws on what it refuses. */
  api<T>(path: string, query?: Readonly<Record<string, string>>): Promise<T>;
  /** The samples of an instant query. */
  query(expr: string): Promise<readonly PromSample[]>;
  close(): Promise<void>;
}

export interface PromSample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [timeSec: number, value: string];
}

export async function startPrometheus(configFile: string): Promise<RunningPrometheus> {
  const directory = mkdtempSync(join(tmpdir(), "cardea-prometheus-"));
  const address = `127.0.0.1:${await freePort()}`;
  const child = spawn(
    "prometheus",
    [
      `--config.file=${configFile}`,
      `--storage.tsdb.path=${directory}`,
      `--web.listen-address=${address}`,
      "--enable-feature=exemplar-storage",
      "--log.level=warn",
    ],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  let log = "";
  child.stderr.on("data", (chunk: Buffer) => (log += chunk.toString()));
  const api = async <T>(path: string, query: Readonly<Record<string, string>> = {}): Promise<T> => {
    const answer = await fetch(`http://${address}/api/v1/${path}?${new URLSearchParams(query).toString()}`);
    const { status, data, error } = (await answer.json()) as { status: string; data: T; error?: string };
    if (status !== "success") throw new Error(`${path} ${JSON.stringify(query)}: ${error}`);
    return data;
  };
  await eventually(async () => {
    if (child.exitCode !== null) throw new Error(`prometheus ended: ${log}`);
    return fetch(`http://${address}/-/ready`)
      .then(({ ok }) => ok)
      .catch(() => false);
  });
  return {
    api,
    query: async (expr) => (await api<{ result: readonly PromSample[] }>("query", { query: expr })).result,
    async close() {
      await end(child);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  await ended;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}
