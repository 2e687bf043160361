import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { EdgesAnswer } from "../../src/control/flows/query.ts";
import type { FlowRecord } from "../../src/observe/flow.ts";
import { parseFlowLine } from "../../src/observe/flow-line.ts";
import { curl } from "../support/curl.ts";
import { startTestMesh, type TestMesh } from "../support/local-mesh.ts";

let mesh: TestMesh;

beforeAll(async () => {
  mesh = await startTestMesh();
}, 60_000);

afterAll(() => mesh.close());

/** What the store has, all pages of it. */
async function stored(query = ""): Promise<readonly FlowRecord[]> {
  const { host, port } = mesh.run().control.admin;
  const flows: FlowRecord[] = [];
  for (let cursor: string | null = ""; cursor !== null; ) {
    const answer = await fetch(`http://${host}:${port}/flows?${query}${cursor === "" ? "" : `&cursor=${cursor}`}`);
    const lines = (await answer.text()).trimEnd().split("\n");
    ({ cursor } = JSON.parse(lines.pop()!) as { cursor: string | null });
    flows.push(...lines.map((line) => parseFlowLine(line)!));
  }
  return flows;
}

function denialIds(flows: readonly FlowRecord[]): readonly string[] {
  return flows.flatMap(({ id, verdict }) => (verdict === "denied" ? [id] : [])).toSorted();
}

test("every denial of the breach is in the store, as its sidecar wrote it", async () => {
  await vi.waitFor(() => expect(mesh.attempts()).toBeGreaterThanOrEqual(9), 60_000);
  await vi.waitFor(async () => {
    const written = mesh.flows().filter(({ verdict }) => verdict === "denied");
    expect(written.length).toBeGreaterThanOrEqual(8);
    const kept = await stored("verdict=denied");
    expect(kept.toSorted(byId)).toEqual(written.toSorted(byId));
  }, 30_000);
}, 100_000);

test("edges say who was let through and who was not", async () => {
  const { host, port } = mesh.run().control.admin;
  const now = Date.now();
  const answer = await fetch(`http://${host}:${port}/edges?from=${now - 600_000}&to=${now + 60_000}`);
  const { edges, lostFlows } = (await answer.json()) as EdgesAnswer;
  const told = edges.map(({ source, destination, verdict }) => `${source.workload} ${destination.workload} ${verdict}`);
  expect(told).toEqual(expect.arrayContaining(["web orders allowed", "web payments denied", "web ledger denied"]));
  expect(told).not.toContain("web payments allowed");
  expect(lostFlows).toBe(0);
});

test("a control plane that is killed costs no denial: what came before and meanwhile is in the store afterwards", async () => {
  const before = denialIds(await stored("verdict=denied"));
  const { process: name } = mesh.run().control;
  process.kill(name!.pid, "SIGKILL");
  // While nobody collects: requests that orders' policy denies.
  const { outbound } = mesh.service("web");
  const statuses = await Promise.all(Array.from({ length: 20 }, (_, i) => denied(outbound.port, i)));
  expect(statuses).toEqual(Array.from({ length: 20 }, () => 403));
  await vi.waitFor(async () => {
    const written = denialIds(mesh.flows());
    expect(written.length).toBeGreaterThanOrEqual(before.length + 20);
    const after = new Set(denialIds(await stored("verdict=denied")));
    expect(written.filter((id) => !after.has(id))).toEqual([]);
  }, 80_000);
}, 120_000);

async function denied(port: number, index: number): Promise<number> {
  return (await curl("-x", `http://127.0.0.1:${port}`, `http://orders.shop:8080/internal/export/${index}`)).status;
}

function byId(one: FlowRecord, other: FlowRecord): number {
  return one.id < other.id ? -1 : 1;
}
