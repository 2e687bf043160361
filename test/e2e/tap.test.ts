import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { startCardea } from "../support/cardea.ts";
import { curl } from "../support/curl.ts";
import { startTestMesh, type TestMesh } from "../support/local-mesh.ts";

let mesh: TestMesh;

beforeAll(async () => {
  mesh = await startTestMesh();
}, 60_000);

afterAll(() => mesh.close());

interface Told {
  readonly at: string;
  readonly exchange: number;
  readonly path?: string;
  readonly flow?: { readonly path?: string; readonly verdict: string };
}

test("a tap shows requests as they begin and end, of that workload alone, without queries", async () => {
  const tap = startCardea(["tap", "shop/orders", "--json", "--path", "/internal/tapped", "--state", mesh.state]);
  const lines: string[] = [];
  void (async () => {
    for await (const line of { [Symbol.asyncIterator]: () => tap.lines }) lines.push(line);
  })();
  const { outbound } = mesh.service("web");
  // Until the first is seen: the tap may not have been there when it was made.
  await vi.waitFor(async () => {
    const url = "http://orders.shop:8080/internal/tapped?token=secret";
    expect((await curl("-x", `http://127.0.0.1:${outbound.port}`, url)).status).toBe(403);
    expect(lines.length).toBeGreaterThan(0);
  }, 30_000);
  await vi.waitFor(() => expect(lines.some((line) => line.includes('"ended"'))).toBe(true), 30_000);
  tap.child.kill("SIGINT");
  expect((await tap.finished).code).toBe(0);
  const told = lines.map((line) => JSON.parse(line) as Told);
  const begun = told.find(({ at }) => at === "began")!;
  const ended = told.find(({ at, exchange }) => at === "ended" && exchange === begun.exchange)!;
  expect(begun.path).toBe("/internal/tapped");
  expect(ended.flow).toMatchObject({ path: "/internal/tapped", verdict: "denied" });
  expect(lines.join("")).not.toContain("secret");
}, 90_000);

test("a workload that is not there is bad usage, with the names of those that are", async () => {
  const { code, stderr } = await mesh.cardea("tap", "nobody");
  expect(code).toBe(2);
  expect(stderr).toContain("shop/orders");
});
