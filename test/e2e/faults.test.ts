import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { FlowRecord } from "../../src/observe/flow.ts";
import { eventually } from "../support/local-mesh.ts";
import { type PoolMesh, startPoolMesh } from "../support/pool-mesh.ts";

// Workloads that fail in the ways that they do: real processes, real signals. What callers get, and what the flow log
// tells of it. Several services share the workloads, each with rules (and ejections) of its own.

/** On a slow machine all of them may be at the one that fails, and three, the least of the budget, are tried again at once. */
const WIDTH = 3;

let pool: PoolMesh;
/** Takes connections and says nothing on them. */
let mute: Server;
const swallowed = new Set<Socket>();

beforeAll(async () => {
  mute = createServer((socket) => void swallowed.add(socket.on("error", () => {}))).listen(0, "127.0.0.1");
  await once(mute, "listening");
  const hole = (mute.address() as AddressInfo).port;
  pool = await startPoolMesh({
    workloads: ["one", "two", "three"],
    services: [
      { name: "plain", workloads: ["one", "two"] },
      { name: "again", workloads: ["one", "two"] },
      { name: "killed", workloads: ["one", "two"] },
      { name: "orphaned", workloads: ["one", "two"] },
      { name: "frozen", workloads: ["one", "three"] },
      { name: "half-mute", workloads: ["one"], holes: [hole] },
      { name: "mute", workloads: [], holes: [hole] },
    ],
    rules: RULES,
  });
});

afterAll(async () => {
  // First, or the client's sidecar would wait for them.
  for (const socket of swallowed) socket.destroy();
  mute.close();
  await pool.close();
});

const OUTLIERS = `{ consecutive5xxErrors: 2, interval: 100ms, baseEjectionTime: 300ms, maxEjectionPercent: 50 }`;

const RULES = [
  retries("again", `{ attempts: 2, retryOn: "reset,5xx" }`),
  outliers("killed"),
  retries("killed", `{ attempts: 2, retryOn: "reset,connect-failure,refused-stream" }`),
  outliers("orphaned"),
  retries("orphaned", `{ attempts: 2, retryOn: "gateway-error" }`),
  outliers("frozen"),
  retries("frozen", `{ attempts: 2, perTryTimeout: 300ms, retryOn: "reset" }`),
  outliers("half-mute"),
  retries("half-mute", `{ attempts: 1, perTryTimeout: 300ms, retryOn: "reset" }`),
  `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: mute, namespace: test }
spec:
  hosts: [mute]
  http:
    - match: [{ uri: { exact: /tries } }]
      route: [{ destination: { host: mute } }]
      retries: { attempts: 2, perTryTimeout: 100ms, retryOn: "reset" }
    - route: [{ destination: { host: mute } }]
      timeout: 300ms
`,
].join("---\n");

function outliers(host: string): string {
  return `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: ${host}, namespace: test }
spec: { host: ${host}, trafficPolicy: { outlierDetection: ${OUTLIERS} } }
`;
}

function retries(host: string, rule: string): string {
  return `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${host}, namespace: test }
spec: { hosts: [${host}], http: [{ route: [{ destination: { host: ${host} } }], retries: ${rule} }] }
`;
}

describe("a POST whose body has begun", () => {
  it("is not sent again when its workload's sidecar is killed", async () => {
    const { request, answer } = pool.post("plain", "/post/killed", 10);
    request.write("hello");
    const victim = await workloadThatSaw("/post/killed");
    process.kill(pool.mesh.service(victim).sidecar!.pid, "SIGKILL");
    expect((await answer).status).toBe(502);
    request.destroy();
    expect(totalOf(await pool.seen("/post/killed"))).toBe(1);
    expect(await only("/post/killed")).toMatchObject({
      status: 502,
      verdict: "error",
      reason: "upstream-reset",
      endedBy: "upstream",
      retriedFor: null,
    });
    await untilBack("plain", victim);
  });

  it("is not sent again when its app ends the connection", async () => {
    const { request, answer } = pool.post("plain", "/die/post", 10);
    request.write("hello");
    expect((await answer).status).toBe(502);
    request.destroy();
    expect(totalOf(await pool.seen("/die/post"))).toBe(1);
    expect(await only("/die/post")).toMatchObject({ status: 502, retriedFor: null });
  });

  it("is not sent again, though a rule asks for it, once more has come than is kept", async () => {
    const { request, answer } = pool.post("again", "/post/large", 1_000_000);
    request.write(Buffer.alloc(500_000));
    const victim = await workloadThatSaw("/post/large");
    // Until more than is kept has come to the sidecar.
    await eventually(() => request.writableLength === 0);
    process.kill(pool.mesh.service(victim).sidecar!.pid, "SIGKILL");
    expect((await answer).status).toBe(502);
    request.destroy();
    expect(totalOf(await pool.seen("/post/large"))).toBe(1);
    expect(await only("/post/large")).toMatchObject({ reason: "upstream-reset", attempts: 1, retriedFor: null });
    await untilBack("again", victim);
  });

  it("is, where a rule asks for it and it is short", async () => {
    const { request, answer } = pool.post("again", "/die/kept", 10);
    request.end("helloworld");
    expect((await answer).status).toBe(502);
    // One that is sent, and two more.
    expect(totalOf(await pool.seen("/die/kept"))).toBe(3);
    expect(await only("/die/kept")).toMatchObject({ status: 502, attempts: 3, retriedFor: "502" });
  });
});

it("a denial is not asked for again", async () => {
  expect((await pool.ask("again", "/denied")).status).toBe(403);
  expect(totalOf(await pool.seen("/denied"))).toBe(0);
  expect(await only("/denied")).toMatchObject({ status: 403, attempts: 1, retriedFor: null });
});

it("when all workloads fail, no more than the retry budget is sent again at once", async () => {
  const requests = 20;
  const answers: number[] = [];
  const all = Array.from(
    { length: requests },
    async () => void answers.push((await pool.ask("again", "/hold")).status),
  );
  await eventually(async () => totalOf(await pool.seen("/hold")) === requests);
  await pool.release();
  // A fifth of what is under way may be tried again, and waits at the apps; the others are answered as they are.
  const budget = requests / 5;
  await eventually(() => answers.length >= requests - budget);
  expect(totalOf(await pool.seen("/hold"))).toBeLessThanOrEqual(requests + budget);
  expect(await pool.metric("cardea_circuit_breaks_total", "again")).toBeGreaterThanOrEqual(requests - budget);
  await eventually(async () => {
    await pool.release();
    return answers.length === requests;
  });
  await Promise.all(all);
  expect(new Set(answers)).toEqual(new Set([503]));
  expect(totalOf(await pool.seen("/hold"))).toBeLessThanOrEqual(requests + 2 * budget);
  const told = await pool.told("/hold", requests);
  expect(told.filter(({ attempts }) => attempts === 1).length).toBeGreaterThanOrEqual(requests - budget);
  for (const flow of told) expect(flow.retriedFor).toBe(flow.attempts === 1 ? null : "503");
});

describe("an endpoint that takes connections and is silent", () => {
  it("alone: the request's time-out ends it with 504", async () => {
    expect((await pool.ask("mute", "/once")).status).toBe(504);
    expect(await only("/once")).toMatchObject({
      status: 504,
      verdict: "error",
      reason: "upstream-timeout",
      endedBy: "sidecar",
      attempts: 1,
      retriedFor: null,
    });
  });

  it("alone: each try has its time-out, and after the last of them it is 504", async () => {
    expect((await pool.ask("mute", "/tries")).status).toBe(504);
    expect(await only("/tries")).toMatchObject({
      status: 504,
      reason: "upstream-timeout",
      attempts: 3,
      retriedFor: "upstream-timeout",
    });
  });

  it("beside another: requests go on to that one, and it is left out", async () => {
    const load = pool.keepAsking("half-mute", "/half", WIDTH);
    await eventually(async () => (await pool.metric("cardea_outlier_ejections_total", "half-mute")) > 0);
    expectAll(await load.stop(), 200);
    const told = await pool.told("/half", load.answers.length);
    const again = told.filter(({ attempts }) => attempts! > 1);
    expect(again.length).toBeGreaterThan(0);
    for (const flow of again) expect(flow).toMatchObject({ status: 200, attempts: 2, retriedFor: "upstream-timeout" });
  });
});

it("a sidecar that is killed under load costs no request, is left out, and comes back", async () => {
  const load = pool.keepAsking("killed", "/killed", WIDTH);
  await eventually(() => countOf(load.answers, "two") > 20);
  process.kill(pool.mesh.service("two").sidecar!.pid, "SIGKILL");
  await eventually(async () => (await pool.metric("cardea_outlier_ejections_total", "killed")) > 0);
  const before = countOf(load.answers, "two");
  await eventually(() => countOf(load.answers, "two") > before + 5, 30_000);
  expectAll(await load.stop(), 200);
  const told = await pool.told("/killed", load.answers.length);
  expect(told).toHaveLength(load.answers.length);
  const again = told.filter(({ attempts }) => attempts! > 1);
  expect(again.length).toBeGreaterThan(0);
  for (const flow of told) expect(flow).toMatchObject({ status: 200, verdict: "allowed" });
  for (const flow of again) expect(flow.retriedFor).toMatch(/^upstream-(reset|connect-failed)$/);
});

it("an app that is killed under load costs no request: its sidecar says so, and another is asked", async () => {
  const load = pool.keepAsking("orphaned", "/orphaned", WIDTH);
  await eventually(() => countOf(load.answers, "two") > 20);
  process.kill(pool.mesh.service("two").app!.pid, "SIGKILL");
  await eventually(async () => (await pool.metric("cardea_outlier_ejections_total", "orphaned")) > 0);
  const before = countOf(load.answers, "two");
  await eventually(() => countOf(load.answers, "two") > before + 5, 30_000);
  expectAll(await load.stop(), 200);
  const told = await pool.told("/orphaned", load.answers.length);
  const again = told.filter(({ attempts }) => attempts! > 1);
  expect(again.length).toBeGreaterThan(0);
  for (const flow of again) expect(flow.retriedFor).toMatch(/^50[23]$/);
  const failed = pool.mesh
    .flows()
    .filter(({ reporter, path, verdict }) => reporter === "destination" && path === "/orphaned" && verdict === "error");
  expect(failed.length).toBeGreaterThan(0);
  for (const flow of failed) expect(flow.reason).toMatch(/^upstream-(reset|connect-failed)$/);
});

it("a sidecar that is frozen: tries end in time, it is left out, and serves again once it goes on", async () => {
  const { pid } = pool.mesh.service("three").sidecar!;
  const load = pool.keepAsking("frozen", "/frozen", WIDTH);
  await eventually(() => countOf(load.answers, "three") > 20);
  process.kill(pid, "SIGSTOP");
  await eventually(async () => (await pool.metric("cardea_outlier_ejections_total", "frozen")) > 0);
  process.kill(pid, "SIGCONT");
  const before = countOf(load.answers, "three");
  await eventually(() => countOf(load.answers, "three") > before + 5, 30_000);
  expectAll(await load.stop(), 200);
  expect(pool.mesh.service("three").sidecar!.pid).toBe(pid);
  const told = await pool.told("/frozen", load.answers.length);
  const again = told.filter(({ attempts }) => attempts! > 1);
  expect(again.length).toBeGreaterThan(0);
  for (const flow of again) expect(flow).toMatchObject({ status: 200, retriedFor: "upstream-timeout" });
});

describe.skipIf(process.env["CARDEA_TEST_LONG"] === undefined)("half-open (a minute: needs CARDEA_TEST_LONG)", () => {
  it("a PING finds a frozen sidecar, and what was under way on its connection goes elsewhere", async () => {
    const { pid } = pool.mesh.service("two").sidecar!;
    process.kill(pid, "SIGSTOP");
    const answers = await Promise.all(Array.from({ length: WIDTH }, () => pool.ask("again", "/half-open")));
    process.kill(pid, "SIGCONT");
    expectAll(answers, 200);
    const told = await pool.told("/half-open", WIDTH);
    const again = told.filter(({ attempts }) => attempts! > 1);
    expect(again.length).toBeGreaterThan(0);
    for (const flow of again) expect(flow).toMatchObject({ status: 200, retriedFor: "upstream-reset" });
    await untilBack("again", "two");
  }, 120_000);
});

async function workloadThatSaw(path: string): Promise<string> {
  return eventually(async () => Object.entries(await pool.seen(path)).find(([, count]) => count > 0)?.[0]);
}

/** What the caller's sidecar told of a request that was made once. */
async function only(path: string): Promise<FlowRecord> {
  const told = await pool.told(path, 1);
  expect(told).toHaveLength(1);
  return told[0]!;
}

/** Killed, it is started again. */
async function untilBack(service: string, workload: string): Promise<void> {
  await eventually(async () => (await pool.ask(service, "/is-back")).text === workload, 30_000);
}

function countOf(answers: readonly { readonly text: string }[], name: string): number {
  return answers.filter(({ text }) => text === name).length;
}

function totalOf(seen: Readonly<Record<string, number>>): number {
  return Object.values(seen).reduce((sum, count) => sum + count, 0);
}

function expectAll(answers: readonly { readonly status: number }[], status: number): void {
  expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([status]));
}
