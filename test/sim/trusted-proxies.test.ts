import { describe, expect, it } from "vitest";
import { openSimMesh, say } from "../support/sim-mesh.ts";
import { shopId } from "../support/test-authority.ts";
import { policy, policySetOf } from "../support/test-mesh.ts";

// Whom remoteIpBlocks mean: the connection's address, or the one that trusted proxies have written.

const OFFICE = policy("office", { rules: [{ from: [{ source: { remoteIpBlocks: ["203.0.113.0/24"] } }] }] });
const NOT_BANNED = [
  policy("all", { rules: [{}] }),
  policy("banned", { action: "DENY", rules: [{ from: [{ source: { remoteIpBlocks: ["198.51.100.0/24"] } }] }] }),
];

function get(...forwardedFor: readonly string[]): string {
  const fields = forwardedFor.map((each) => `X-Forwarded-For: ${each}\r\n`);
  return `GET / HTTP/1.1\r\nHost: orders\r\n${fields.join("")}\r\n`;
}

async function ask(policies: readonly object[], numTrustedProxies: number, request: string) {
  const mesh = await openSimMesh({ policy: policySetOf(policies, { numTrustedProxies }) });
  await mesh.callAs(mesh.authority.issue(shopId("web")), mesh.ordersInbound, { text: request });
  const app = mesh.ordersApp[0];
  if (app !== undefined) say(app, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  await mesh.settle();
  const { verdict, remoteIp } = mesh.orders.flows[0]!;
  return [verdict, remoteIp, app?.text().match(/x-forwarded-for: ([^\r]*)/i)?.[1] ?? null];
}

describe("an ALLOW rule on remoteIpBlocks", () => {
  const denied: readonly (readonly [string, number, readonly string[]])[] = [
    ["nobody is trusted to name the client", 0, ["203.0.113.7"]],
    ["the client has written it before what the proxy added", 1, ["203.0.113.7, 192.0.2.5"]],
    ["the client has written a field of its own before the proxy's", 1, ["203.0.113.7", "192.0.2.5"]],
    ["it was written by one proxy of two that are trusted", 2, ["203.0.113.7"]],
    ["it is no address", 1, ["203.0.113.7:80"]],
    ["nothing is written", 1, []],
  ];
  it.each(denied)("denies where %s", async (_name, trusted, fields) => {
    expect((await ask([OFFICE], trusted, get(...fields)))[0]).toBe("denied");
  });

  it.each([
    [1, ["203.0.113.7"]],
    [2, ["203.0.113.7, 192.0.2.5"]],
    [2, ["1.2.3.4, 203.0.113.7", "192.0.2.5"]],
  ])("allows what %i trusted proxies have written: %j, and records it", async (trusted, fields) => {
    expect(await ask([OFFICE], trusted, get(...fields))).toEqual(["allowed", "203.0.113.7", fields[0]]);
  });
});

describe("a DENY rule on remoteIpBlocks", () => {
  it.each([
    ["who is banned", ["198.51.100.9"]],
    ["who is banned and writes another address before", ["203.0.113.7, 198.51.100.9"]],
    ["whose address cannot be read", ["somewhere"]],
    ["who leaves its place empty", ["198.51.100.9,"]],
  ])("denies %s", async (_name, fields) => {
    expect((await ask(NOT_BANNED, 1, get(...fields)))[0]).toBe("denied");
  });

  it("decides each request of a connection by its own client", async () => {
    const mesh = await openSimMesh({ policy: policySetOf(NOT_BANNED, { numTrustedProxies: 1 }) });
    const caller = await mesh.callAs(mesh.authority.issue(shopId("web")), mesh.ordersInbound, {
      text: get("203.0.113.7"),
    });
    say(mesh.ordersApp[0]!, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    await mesh.settle();
    say(caller, get("198.51.100.9"));
    await mesh.settle();
    expect(mesh.orders.flows).toMatchObject([
      { verdict: "allowed", remoteIp: "203.0.113.7" },
      { verdict: "denied", remoteIp: "198.51.100.9", source: { ip: "127.0.0.1" } },
    ]);
  });
});
