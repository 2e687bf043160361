import { writeFileSync } from "node:fs";
import http from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { FlowRecord } from "../../src/observe/flow.ts";
import { startCustomMesh } from "./custom-mesh.ts";
import { eventually, type TestMesh } from "./local-mesh.ts";
import { type ProgramResult, runProgram } from "./programs.ts";

const APP = fileURLToPath(new URL("./pool-app.mjs", import.meta.url));

/** A service of the registry that a test makes of workloads which are there. */
export interface PoolService {
  readonly name: string;
  /** Names of the workloads that serve it. */
  readonly workloads: readonly string[];
  /** Further endpoints on loopback, which are nobody's sidecar. */
  readonly holes?: readonly number[];
}

/** A mesh of real processes: `client`, and workloads with an app each, which any number of services may share. */
export interface PoolMesh {
  readonly mesh: TestMesh;
  ask(service: string, path: string): Promise<PoolAnswer>;
  /** Asks all the time, `width` requests at once, until it is stopped. */
  keepAsking(service: string, path: string, width: number): Load;
  /** The request alone, whose body is the test's to send; the answer comes when it will. */
  post(service: string, path: string, bytes: number): { request: http.ClientRequest; answer: Promise<PoolAnswer> };
  /** How often each workload's app has seen the path. */
  seen(path: string): Promise<Record<string, number>>;
  /** Lets all apps answer what they hold back. */
  release(): Promise<void>;
  /** What the client's sidecar told of a path, once there are so many. */
  told(path: string, count: number): Promise<readonly FlowRecord[]>;
  /** A counter of the client's sidecar, over all labels but the service. */
  metric(name: string, service: string): Promise<number>;
  close(): Promise<void>;
}

export interface PoolAnswer {
  readonly status: number;
  readonly text: string;
}

export interface Load {
  readonly answers: readonly PoolAnswer[];
  stop(): Promise<readonly PoolAnswer[]>;
}

interface PoolMeshOptions {
  readonly workloads: readonly string[];
  readonly services: readonly PoolService[];
  /** Beside the policy that lets the client do everything but /denied. */
  readonly rules: string;
  /** In a network namespace of its own, where `ask` and files are all that gets there. Needs root. */
  readonly isApart?: boolean;
}

/** What runs a program in a namespace with nothing but a loopback. */
const APART = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"];

const POLICY = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: client-may, namespace: test }
spec:
  selector: { matchLabels: { app: pool } }
  rules:
    - from: [{ source: { principals: ["cluster.local/ns/test/sa/client"] } }]
      to: [{ operation: { notPaths: ["/denied"] } }]
`;

export async function startPoolMesh(options: PoolMeshOptions): Promise<PoolMesh> {
  const { workloads, services, rules, isApart = false } = options;
  const entries = workloads.map((name) => {
    const labels = JSON.stringify(Object.fromEntries([["app", "pool"], ...labelsOf(name, services)]));
    const command = JSON.stringify([process.execPath, APP, name]);
    const port = "{ port: 8080, protocol: HTTP }";
    return `  - { name: ${name}, namespace: test, labels: ${labels}, ports: [${port}], app: { command: ${command} } }`;
  });
  const spec = ["services:", "  - { name: client, namespace: test }", ...entries].join("\n");
  const mesh = await startCustomMesh(spec, [POLICY, rules].join("---\n"), isApart ? APART : []);
  writeFileSync(join(mesh.state, "registry", "pool.json"), formatRegistry(services));
  const agent = new http.Agent({ keepAlive: true });
  const pool: PoolMesh = {
    mesh,
    ask: (service, path) =>
      isApart ? askApart(mesh, service, path) : open(mesh, agent, { service, path, method: "GET", bytes: 0 }).answer,
    keepAsking: (service, path, width) => keepAsking(() => pool.ask(service, path), width),
    post: (service, path, bytes) => open(mesh, agent, { service, path, method: "POST", bytes }),
    async seen(path) {
      const each = workloads.map(async (name) => {
        const counts = JSON.parse(await askApp(mesh, name, "/seen")) as Record<string, number>;
        return [name, counts[path] ?? 0] as const;
      });
      return Object.fromEntries(await Promise.all(each));
    },
    async release() {
      await Promise.all(workloads.map((name) => askApp(mesh, name, "/release")));
    },
    told: (path, count) =>
      eventually(() => {
        const told = mesh.flows().filter((flow) => flow.reporter === "source" && flow.path === path);
        return told.length >= count ? told : null;
      }),
    async metric(name, service) {
      const { host, port } = mesh.service("client").metrics;
      const text = await (await fetch(`http://${host}:${port}/metrics`)).text();
      const lines = text
        .split("\n")
        .filter((line) => line.startsWith(`${name}{`) && line.includes(`"${hostOf(service)}"`));
      return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
    },
    async close() {
      agent.destroy();
      await mesh.close();
    },
  };
  for (const service of services) await untilServing(pool, service);
  return pool;
}

function labelsOf(workload: string, services: readonly PoolService[]): [string, string][] {
  return services.filter((each) => each.workloads.includes(workload)).map(({ name }) => [name, "yes"]);
}

function hostOf(service: string): string {
  return `${service}.test.svc.cluster.local`;
}

/** A ServiceEntry for each service, and a WorkloadEntry for what is no sidecar. */
function formatRegistry(services: readonly PoolService[]): string {
  const items = services.flatMap(({ name, holes = [] }) => {
    const metadata = { name, namespace: "test" };
    const kind = { apiVersion: "networking.istio.io/v1" };
    const selector = { labels: { [name]: "yes" } };
    const ports = [{ number: 8080, name: "http-8080", protocol: "HTTP" }];
    const entry = {
      ...kind,
      kind: "ServiceEntry",
      metadata,
      spec: { hosts: [hostOf(name)], ports, workloadSelector: selector },
    };
    const ends = holes.map((port) => ({
      ...kind,
      kind: "WorkloadEntry",
      metadata: { name: `${name}-hole-${port}`, namespace: "test" },
      spec: { address: "127.0.0.1", ports: { "http-8080": port }, labels: selector.labels, serviceAccount: "hole" },
    }));
    return [entry, ...ends];
  });
  return JSON.stringify({ apiVersion: "v1", kind: "List", items });
}

/** Until the client knows all workloads of a service; one that has none but holes is known with the others. */
async function untilServing(pool: PoolMesh, { name, workloads, holes = [] }: PoolService): Promise<void> {
  if (workloads.length === 0) return;
  const names = new Set<string>();
  await eventually(async () => {
    const { status, text } = await pool.ask(name, "/is-there");
    if (status === 200) names.add(text);
    return names.size === workloads.length || (holes.length > 0 && names.size > 0);
  });
}

interface Asking {
  readonly service: string;
  readonly path: string;
  readonly method: string;
  readonly bytes: number;
}

function open(mesh: TestMesh, agent: http.Agent, { service, path, method, bytes }: Asking) {
  const { host, port } = mesh.service("client").outbound;
  const headers = { host: `${service}:8080`, ...(bytes > 0 ? { "content-length": bytes } : {}) };
  const request = http.request({ host, port, agent, method, headers, path: `http://${service}:8080${path}` });
  if (bytes === 0) request.end();
  const answer = new Promise<PoolAnswer>((resolve, reject) => {
    request.on("error", reject).on("response", (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (piece: string) => (text += piece));
      response.on("error", reject).on("end", () => resolve({ status: response.statusCode!, text }));
    });
  });
  return { request, answer };
}

function keepAsking(ask: () => Promise<PoolAnswer>, width: number): Load {
  const answers: PoolAnswer[] = [];
  const stopping = new AbortController();
  const workers = Array.from({ length: width }, async () => {
    while (!stopping.signal.aborted) answers.push(await ask());
  });
  return {
    answers,
    async stop() {
      stopping.abort();
      await Promise.all(workers);
      return answers;
    },
  };
}

/** Runs a program in the mesh's own network namespace. */
export function runApart(
  { up }: TestMesh,
  program: string,
  words: readonly string[],
  input = "",
): Promise<ProgramResult> {
  return runProgram("nsenter", [`--net=/proc/${up.child.pid}/ns/net`, program, ...words], input);
}

async function askApart(mesh: TestMesh, service: string, path: string): Promise<PoolAnswer> {
  const { host, port } = mesh.service("client").outbound;
  const words = ["-sS", "-w", "\\n%{http_code}", "-x", `http://${host}:${port}`, `http://${service}:8080${path}`];
  const { stdout } = await runApart(mesh, "curl", words);
  const end = stdout.lastIndexOf("\n");
  return { status: Number(stdout.slice(end + 1)), text: stdout.slice(0, end) };
}

/** Past the sidecars. */
async function askApp(mesh: TestMesh, name: string, path: string): Promise<string> {
  const { host, port } = mesh.service(name).inbound[0]!.app;
  return (await fetch(`http://${host}:${port}${path}`)).text();
}
