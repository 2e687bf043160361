import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { curl } from "./curl.ts";
import { eventually } from "./local-mesh.ts";
import { createTestAuthority } from "./test-authority.ts";

const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));

/** What one sidecar needs to start, and a control plane that nobody has ever seen. */
export interface LoneSidecarPlace {
  readonly directory: string;
  readonly flowFile: string;
  readonly ports: Readonly<Record<PortName, number>>;
  remove(): void;
}

type PortName = (typeof PORT_NAMES)[number];

const PORT_NAMES = ["outbound", "inbound", "admin", "metrics", "readiness", "control"] as const;

/** Ports that were free just now, and the files; `changes` to its configuration. */
export async function prepareLoneSidecar(changes: object = {}): Promise<LoneSidecarPlace> {
  const directory = mkdtempSync(join(tmpdir(), "cardea-sidecar-"));
  const flowFile = join(directory, "flows.jsonl");
  const ports = await freePorts();
  const at = (name: PortName) => ({ host: "127.0.0.1", port: ports[name] });
  writeFileSync(join(directory, "root.pem"), createTestAuthority().bundle.pem);
  writeFileSync(join(directory, "token"), "nobody-minted-this\n");
  const config = {
    name: "web",
    namespace: "shop",
    serviceAccount: "web",
    trustDomain: "cluster.local",
    labels: { app: "web" },
    control: {
      address: at("control"),
      spiffeId: "spiffe://cluster.local/ns/cardea-system/sa/cardea-control",
      rootFile: join(directory, "root.pem"),
    },
    joinTokenFile: join(directory, "token"),
    outbound: at("outbound"),
    upstreams: [],
    inbound: [{ listen: at("inbound"), port: 8080, protocol: "HTTP", app: { host: "127.0.0.1", port: 1 } }],
    admin: at("admin"),
    metrics: at("metrics"),
    readiness: at("readiness"),
    flowFile,
    ownPorts: [],
    logLevel: "info",
    egress: "REGISTRY_ONLY",
    drainTimeoutMs: 1_000,
    certTtlSec: 3_600,
    enforcement: null,
    ...changes,
  };
  writeFileSync(join(directory, "web.json"), JSON.stringify(config));
  return { directory, flowFile, ports, remove: () => rmSync(directory, { recursive: true, force: true }) };
}

export interface LoneSidecar {
  readonly child: ChildProcess;
  /** What it has said on stderr so far. */
  said(): string;
  end(signal: NodeJS.Signals): Promise<void>;
}

export interface LoneSidecarOptions {
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts it from the sources; it has opened its ports when this resolves, and sees nothing of our surroundings. */
export async function startLoneSidecar(
  { directory, ports }: LoneSidecarPlace,
  { flags = [], env = {} }: LoneSidecarOptions,
): Promise<LoneSidecar> {
  const args = [...flags, MAIN, "proxy", "--config", join(directory, "web.json")];
  const child = spawn(process.execPath, args, { env, stdio: ["ignore", "ignore", "pipe"] });
  const ended = new Promise<void>((resolve) => void child.once("exit", () => resolve()));
  const said: Buffer[] = [];
  child.stderr.on("data", (piece: Buffer) => said.push(piece));
  await eventually(async () => (await curl(`http://127.0.0.1:${ports.readiness}/healthz/ready`)).status === 503);
  return {
    child,
    said: () => Buffer.concat(said).toString(),
    end(signal) {
      child.kill(signal);
      return ended;
    },
  };
}

async function freePorts(): Promise<LoneSidecarPlace["ports"]> {
  const servers = PORT_NAMES.map(() => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => new Promise((resolve) => void server.once("listening", resolve))));
  const found = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => void server.close(resolve))));
  return Object.fromEntries(PORT_NAMES.map((name, i) => [name, found[i]!])) as LoneSidecarPlace["ports"];
}
