import http from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../src/io/clock.ts";
import { createSocketNetwork } from "../../src/io/sockets.ts";
import { shopId } from "../support/test-authority.ts";
import { openTestMesh, policy, policySetOf, type TestMesh } from "../support/test-mesh.ts";

// Policies and certificates change under load. What is allowed before and after never fails, what is denied before and
// after never passes, and neither waits for the other.

const IN_FLIGHT = 1_000;
const ROTATIONS = 3;

let mesh: TestMesh;
let app: http.Server;
let agent: http.Agent;
const waiting: http.ServerResponse[] = [];
const reached: string[] = [];

beforeAll(async () => {
  app = http.createServer((request, response) => {
    reached.push(request.url!);
    if (request.url === "/held") waiting.push(response);
    else response.end("ok");
  });
  await new Promise<void>((resolve) => app.listen(0, "127.0.0.1", resolve));
  const { port } = app.address() as AddressInfo;
  mesh = await openTestMesh({
    network: createSocketNetwork(),
    clock: systemClock,
    ordersApp: { host: "127.0.0.1", port },
    ledgerApp: { host: "127.0.0.1", port: 1 },
    policy: policySetOf([allowing("web-may", "/held", "/quick"), allowing("more", "/before")]),
  });
  agent = new http.Agent({ keepAlive: true });
});

afterAll(async () => {
  agent.destroy();
  await mesh.close();
  app.close();
});

describe("with a thousand requests in flight", () => {
  it("a policy change and three rotations fail nothing that stays allowed, and pass nothing that stays denied", async () => {
    const held = Array.from({ length: IN_FLIGHT }, () => getStatus("/held"));
    await expect.poll(() => waiting.length, { timeout: 60_000, interval: 20 }).toBe(IN_FLIGHT);
    const quick: Promise<number>[] = [];
    const denied: Promise<number>[] = [];
    const issue = () => {
      for (let i = 0; i < 50; i++) {
        quick.push(getStatus("/quick"));
        denied.push(getStatus("/never"));
      }
    };
    issue();
    for (let rotation = 0; rotation < ROTATIONS; rotation++) {
      mesh.web.identity.set(mesh.authority.issue(shopId("web")));
      mesh.orders.identity.set(mesh.authority.issue(shopId("orders")));
      issue();
      if (rotation === 1) mesh.orders.policy.set(policySetOf([allowing("web-may", "/held", "/quick")], {}, "second"));
      issue();
      await Promise.all(quick);
    }
    expect(waiting).toHaveLength(IN_FLIGHT);
    for (const response of waiting) response.end("ok");
    expect(statuses(await Promise.all(held))).toEqual({ 200: IN_FLIGHT });
    expect(statuses(await Promise.all(quick))).toEqual({ 200: quick.length });
    expect(statuses(await Promise.all(denied))).toEqual({ 403: denied.length });
    expect(reached).not.toContain("/never");
  }, 120_000);

  it("what the new policy no longer allows is denied", async () => {
    expect(await getStatus("/before")).toBe(403);
  });
});

function allowing(name: string, ...paths: string[]): object {
  const principals = ["cluster.local/ns/shop/sa/web"];
  return policy(name, {
    action: "ALLOW",
    rules: [{ from: [{ source: { principals } }], to: [{ operation: { paths } }] }],
  });
}

function getStatus(path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    http
      .get({ ...mesh.toOrders, path, agent }, (response) => {
        response.resume();
        response.on("end", () => resolve(response.statusCode ?? 0)).on("error", reject);
      })
      .on("error", reject);
  });
}

function statuses(list: readonly number[]): Record<number, number> {
  const counts: Record<number, number> = {};
  for (const status of list) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}
