import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RunFile } from "../../src/cli/run-file.ts";
import { findFreePorts, startChild } from "./child.ts";
import { awaitFirstAnswer } from "./first-answer.ts";
import { readAgeMs } from "./process-times.ts";
import { RULE_METHODS, RULE_PATHS } from "./rules.ts";
import type { RunningSide, SideSetting } from "./side.ts";

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
  mkdirSync(join(directory, "policies"), { recursive: true });
  const [httpPort, tcpPort, outboundPort] = (await findFreePorts(3)) as [number, number, number];
  const meshFile = join(directory, "mesh.yaml");
  const service = (name: string, rest: object): object => ({ name, namespace: "bench", ...rest });
  writeFileSync(join(directory, "policies", "bench.yaml"), policyText());
  writeFileSync(
    meshFile,
    JSON.stringify({
      apiVersion: "cardea.dev/v1",
      kind: "Mesh",
      metadata: { name: "bench" },
      spec: {
        services: [
          service("caller", {
            outboundPort,
            upstreams: [
              { service: "server.bench", port: 8080, localPort: httpPort },
              { service: "bulk.bench", port: 9000, localPort: tcpPort },
            ],
          }),
          service("server", {
            ports: [{ port: 8080, protocol: "HTTP" }],
            app: { address: `127.0.0.1:${backends.httpPort}` },
          }),
          service("bulk", {
            ports: [{ port: 9000, protocol: "TCP" }],
            app: { address: `127.0.0.1:${backends.tcpPort}` },
          }),
        ],
      },
    }),
  );
  const state = join(directory, "state");
  // Below the ports that the kernel gives to connections, and not the default: a mesh may be running there.
  const portBase = String(17_000 + (process.pid % 30) * 500);
  const words = [join(ROOT, "dist", "main.js"), "up", meshFile, "--json", "--state", state, "--port-base", portBase];
  const up = startChild(process.execPath, words, join(directory, "up.log"));
  const failure = (): string | null => (up.hasEnded() ? `cardea up ended: ${up.output()}${controlLog()}` : null);
  const controlLog = (): string => {
    const file = join(state, "log", "control.log");
    return existsSync(file) ? readFileSync(file, "utf8").slice(-LOG_CHARS_SHOWN) : "";
  };
  try {
    const pids = await awaitSidecars(join(state, "run.json"), failure);
    await awaitFirstAnswer(httpPort, failure);
    const { caller, server, bulk } = pids;
    return {
      name: "cardea",
      version: `${packageVersion()} on Node ${process.versions.node}, HTTP/1.1 between`,
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
