import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { curl } from "../support/curl.ts";
import { eventually } from "../support/local-mesh.ts";
import { createTestAuthority } from "../support/test-authority.ts";

// One sidecar alone, whose control plane nobody has ever seen: what it has loaded, and that it refuses everything.

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
let directory = "";
let child: ReturnType<typeof spawn>;
let ports: readonly number[] = [];

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "cardea-sidecar-"));
  ports = await freePorts(6);
  const [outbound, inbound, admin, metrics, readiness, control] = ports.map((port) => ({ host: "127.0.0.1", port }));
  writeFileSync(join(directory, "root.pem"), createTestAuthority().bundle.pem);
  writeFileSync(join(directory, "token"), "nobody-minted-this\n");
  const config = {
    name: "web",
    namespace: "shop",
    serviceAccount: "web",
    trustDomain: "cluster.local",
    labels: { app: "web" },
    control: {
      address: control,
      spiffeId: "spiffe://cluster.local/ns/cardea-system/sa/cardea-control",
      rootFile: join(directory, "root.pem"),
    },
    joinTokenFile: join(directory, "token"),
    outbound,
    upstreams: [],
    inbound: [{ listen: inbound, port: 8080, protocol: "HTTP", app: { host: "127.0.0.1", port: 1 } }],
    admin,
    metrics,
    readiness,
    flowFile: join(directory, "flows.jsonl"),
    ownPorts: [],
    logLevel: "info",
    egress: "REGISTRY_ONLY",
    drainTimeoutMs: 1_000,
    certTtlSec: 3_600,
    enforcement: null,
  };
  writeFileSync(join(directory, "web.json"), JSON.stringify(config));
  const main = join(ROOT, "src", "main.ts");
  const preload = join(ROOT, "test", "support", "loaded-modules.mjs");
  child = spawn(process.execPath, ["--import", preload, main, "proxy", "--config", join(directory, "web.json")], {
    env: { LOADED_MODULES: join(directory, "modules") },
    stdio: ["ignore", "ignore", "pipe"],
  });
  await eventually(async () => (await curl(`http://127.0.0.1:${ports[4]}/healthz/ready`)).status === 503);
});
afterAll(async () => {
  const ended = new Promise((resolve) => void child.once("exit", resolve));
  child.kill("SIGTERM");
  await ended;
  rmSync(directory, { recursive: true, force: true });
});

describe("a sidecar loads what a sidecar needs", () => {
  test("of our own: the data path, what it is told and shows, and one command", () => {
    const rooms = [...new Set(own().map((path) => path.split("/")[1]!))].toSorted();
    expect(rooms).toEqual([
      "api",
      "cli",
      "config",
      "core",
      "io",
      "main.ts",
      "observe",
      "pki",
      "policy",
      "proxy",
      "traffic",
      "wire",
    ]);
    expect(own().filter((path) => path.startsWith("src/cli/"))).toEqual([
      "src/cli/app-health.ts",
      "src/cli/args.ts",
      "src/cli/commands.ts",
      "src/cli/exit-code.ts",
      "src/cli/help.ts",
      "src/cli/proxy.ts",
      "src/cli/sidecar-admin.ts",
      "src/cli/sidecar-paths.ts",
      "src/cli/terminal.ts",
      "src/cli/version.ts",
    ]);
    expect(own().filter((path) => path.startsWith("src/config/"))).toEqual([
      "src/config/app-probes.ts",
      "src/config/json-text.ts",
      "src/config/pod-config.ts",
      "src/config/pod-variables.ts",
      "src/config/proxy-config.ts",
    ]);
    expect(own().length).toBeLessThan(300);
  });

  test("of others: nothing", () => {
    expect(modules().filter((path) => !path.startsWith("src/"))).toEqual([]);
  });

  test("and nothing of the control plane, of other commands, or of YAML", () => {
    const unwanted =
      /src\/(control|ui)\/|src\/cli\/(up|run|status|flows|policy|local)|config\/(yaml|mesh\.|policy-files)|analysis/;
    expect(own().filter((path) => unwanted.test(path))).toEqual([]);
  });
});

describe("before the first certificate and policy have come", () => {
  test("it says that it is not ready, and why", async () => {
    const { status, body } = await curl(`http://127.0.0.1:${ports[4]}/healthz/ready`);
    expect({ status, body }).toEqual({ status: 503, body: "no certificate yet, no policies yet\n" });
    expect((await curl(`http://127.0.0.1:${ports[2]}/certs`)).status).toBe(503);
  });

  test("its metrics are there, at our path and at Istio's", async () => {
    for (const path of ["/metrics", "/stats/prometheus"]) {
      const { status, body } = await curl(`http://127.0.0.1:${ports[3]}${path}`);
      expect({ path, status }).toEqual({ path, status: 200 });
      expect(body).toContain("\nprocess_resident_memory_bytes ");
    }
  });

  test("it lets nothing out", async () => {
    const { status } = await curl("-x", `http://127.0.0.1:${ports[0]}`, "http://orders.shop:8080/");
    expect(status).toBeGreaterThanOrEqual(500);
  });

  test("it lets nothing in, with TLS or without", async () => {
    for (const scheme of ["http", "https"]) {
      const { status } = await curl("-k", `${scheme}://127.0.0.1:${ports[1]}/`);
      expect(status).toBe(0);
    }
  });

  test("it records each of them", async () => {
    const records = await eventually(() => {
      const lines = readFileSync(join(directory, "flows.jsonl"), "utf8").trim().split("\n");
      return lines.length >= 3 && lines.map((line) => JSON.parse(line) as { verdict: string });
    });
    expect(records.filter((record) => record.verdict === "allowed")).toEqual([]);
  });
});

function own(): readonly string[] {
  return modules().filter((path) => path.startsWith("src/"));
}

/** Paths of the modules that it has loaded, from the project's root, sorted; Node's own are left out. */
function modules(): readonly string[] {
  const urls = readFileSync(join(directory, "modules"), "utf8").trim().split("\n");
  const files = urls.filter((url) => url.startsWith("file:")).map((url) => fileURLToPath(url).slice(ROOT.length));
  return [...new Set(files)].filter((path) => path !== "test/support/loaded-modules.mjs").toSorted();
}

async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => new Promise((resolve) => void server.once("listening", resolve))));
  const found = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => void server.close(resolve))));
  return found;
}
