import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RunFile } from "../../src/cli/run-file.ts";
import { type Child, findFreePorts, startChild } from "./child.ts";
import { awaitFirstAnswer } from "./first-answer.ts";
import { readAgeMs } from "./process-times.ts";
import { RULE_METHODS, RULE_PATHS } from "./rules.ts";
import type { Backends, RunningSide, SideSetting } from "./side.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const POLL_MS = 5;
const UP_TIMEOUT_MS = 30_000;
const LOG_CHARS_SHOWN = 2_000;

/** The program as it ships: plain JavaScript in dist/. Errors: what the compiler says. */
export function buildOurs(): void {
  const built = spawnSync("npm", ["run", "--silent", "build"], { cwd: ROOT, encoding: "utf8" });
  if (built.status !== 0) throw new Error(`the build failed: ${built.stdout}${built.stderr}`);
}

/**
 * A mesh of `cardea up`: three sidecars, of which a request passes caller and server, and TCP caller and bulk. Flow
 * log, metrics and trace context are on, as they always are; the certificates are the mesh's own.
 */
export async function openOurs({ directory, backends }: SideSetting): Promise<RunningSide> {
  const [httpPort, tcpPort, outboundPort] = (await findFreePorts(3)) as [number, number, number];
  const ports = { httpPort, tcpPort, outboundPort };
  mkdirSync(join(directory, "policies"), { recursive: true });
  writeFileSync(join(directory, "policies", "bench.yaml"), policyText());
  writeFileSync(join(directory, "mesh.yaml"), meshText(ports, backends));
  const { up, state } = startMesh(directory);
  const failure = (): string | null =>
    up.hasEnded() ? `cardea up ended: ${up.output()}${readControlLog(state)}` : null;
  try {
    const { caller, server, bulk } = await awaitSidecars(join(state, "run.json"), failure);
    await awaitFirstAnswer(httpPort, failure);
    return {
      name: "cardea",
      version: `${packageVersion()} on Node ${process.versions.node}, HTTP/2 between`,
      httpPort,
      tcpPort,
      pids: (kind) => (kind === "http" ? [caller, server] : [caller, bulk]),
      readyMs: readAgeMs([caller, server]),
      close: () => up.close(),
    };
  } catch (error) {
    await up.close();
    throw error;
  }
}

interface CallerPorts {
  readonly httpPort: number;
  readonly tcpPort: number;
  readonly outboundPort: number;
}

/** A mesh file; JSON is YAML. */
function meshText({ httpPort, tcpPort, outboundPort }: CallerPorts, backends: Backends): string {
  const upstreams = [
    { service: "server.bench", port: 8080, localPort: httpPort },
    { service: "bulk.bench", port: 9000, localPort: tcpPort },
  ];
  const services = [
    { name: "caller", namespace: "bench", outboundPort, upstreams },
    serving("server", 8080, "HTTP", backends.httpPort),
    serving("bulk", 9000, "TCP", backends.tcpPort),
  ];
  const mesh = { apiVersion: "cardea.dev/v1", kind: "Mesh", metadata: { name: "bench" }, spec: { services } };
  return `${JSON.stringify(mesh, null, 2)}\n`;
}

function serving(name: string, port: number, protocol: string, appPort: number): object {
  return { name, namespace: "bench", ports: [{ port, protocol }], app: { address: `127.0.0.1:${appPort}` } };
}

function startMesh(directory: string): { readonly up: Child; readonly state: string } {
  const state = join(directory, "state");
  // Below the ports that the kernel gives to connections, and not the default: a mesh may be running there.
  const portBase = String(17_000 + (process.pid % 30) * 500);
  const words = ["up", join(directory, "mesh.yaml"), "--json", "--state", state, "--port-base", portBase];
  return {
    up: startChild(process.execPath, [join(ROOT, "dist", "main.js"), ...words], join(directory, "up.log")),
    state,
  };
}

function readControlLog(state: string): string {
  const file = join(state, "log", "control.log");
  return existsSync(file) ? readFileSync(file, "utf8").slice(-LOG_CHARS_SHOWN) : "";
}

interface SidecarPids {
  readonly caller: number;
  readonly server: number;
  readonly bulk: number;
}

async function awaitSidecars(runFile: string, failure: () => string | null): Promise<SidecarPids> {
  const untilMs = performance.now() + UP_TIMEOUT_MS;
  for (;;) {
    const [caller, server, bulk] = ["caller", "server", "bulk"].map((name) => readSidecarPid(runFile, name));
    if (caller != null && server != null && bulk != null) return { caller, server, bulk };
    const why = failure() ?? (performance.now() > untilMs ? "cardea up started no sidecars" : null);
    if (why !== null) throw new Error(why);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function readSidecarPid(runFile: string, name: string): number | null {
  try {
    const run = JSON.parse(readFileSync(runFile, "utf8")) as RunFile;
    return run.services.find((service) => service.name === name)?.sidecar?.pid ?? null;
  } catch {
    // Not written yet.
    return null;
  }
}

function policyText(): string {
  const from = [{ source: { principals: ["cluster.local/ns/bench/sa/caller"] } }];
  const rules = RULE_PATHS.map((path) => ({
    from,
    to: [{ operation: { methods: RULE_METHODS, paths: [path], ports: ["8080"] } }],
  }));
  return [allow("server", rules), allow("bulk", [{ from, to: [{ operation: { ports: ["9000"] } }] }])].join("---\n");
}

function allow(app: string, rules: readonly object[]): string {
  const policy = {
    apiVersion: "security.istio.io/v1",
    kind: "AuthorizationPolicy",
    metadata: { name: app, namespace: "bench" },
    spec: { selector: { matchLabels: { app } }, action: "ALLOW", rules },
  };
  return `${JSON.stringify(policy)}\n`;
}

function packageVersion(): string {
  return (JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { version: string }).version;
}
