import { type ChildProcess, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { eventually } from "./local-mesh.ts";
import { curl } from "./curl.ts";

/** Envoy's program; empty: it is not there, and what needs it is skipped by name. */
export const ENVOY = process.env["ENVOY"] ?? "";

/** A port that was free just now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => void server.once("listening", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => void server.close(resolve));
  return port;
}

export interface RunningEnvoy {
  readonly child: ChildProcess;
  close(): Promise<void>;
}

/** Runs Envoy on a configuration; it serves when this resolves. */
export async function startEnvoy(directory: string, config: object): Promise<RunningEnvoy> {
  const admin = await freePort();
  const file = join(directory, `envoy-${admin}.json`);
  writeFileSync(file, JSON.stringify({ ...config, admin: { address: socketAddress(admin) } }));
  const words = ["--concurrency", "1", "--disable-hot-restart", "-l", "error", "-c", file];
  const child = spawn(ENVOY, words, { stdio: ["ignore", "ignore", "pipe"] });
  const said: Buffer[] = [];
  child.stderr.on("data", (piece: Buffer) => said.push(piece));
  const ended = new Promise<void>((resolve) => void child.once("exit", () => resolve()));
  await eventually(async () => {
    if (child.exitCode !== null) throw new Error(Buffer.concat(said).toString());
    return (await curl(`http://127.0.0.1:${admin}/ready`)).status === 200;
  }, 30_000);
  return {
    child,
    close() {
      child.kill("SIGTERM");
      return ended;
    },
  };
}

export function socketAddress(port: number): object {
  return { socket_address: { address: "127.0.0.1", port_value: port } };
}

/** A cluster of one address. */
export function clusterAt(name: string, port: number, protocol: "http1" | "http2" = "http1"): object {
  const http2 = {
    typed_extension_protocol_options: {
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
  };
  const load = { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address: socketAddress(port) } }] }] };
  return { name, type: "STATIC", load_assignment: load, ...(protocol === "http2" ? http2 : {}) };
}
