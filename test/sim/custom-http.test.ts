import { beforeAll, describe, expect, it } from "vitest";
import type { Connection } from "../../src/core/ports.ts";
import { addAuthz, AUTHZ_SERVICE, customSetOf, providerOf } from "../support/asked-outside.ts";
import { type Collected, collect } from "../support/collected.ts";
import { openSimMesh, say, type SimMesh } from "../support/sim-mesh.ts";
import { policy, WEB_MAY } from "../support/test-mesh.ts";

const AUTHZ_APP = { host: "127.0.0.1", port: 9900 };
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const YES = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const ASK = policy("ask", {
  action: "CUSTOM",
  provider: { name: "opa" },
  rules: [{ to: [{ operation: { paths: ["/admin*"] } }] }],
});

// Loaded by the first request that asks; here before, since simulated time does not wait for files.
beforeAll(() => import("../../src/proxy/service-call.ts"));

interface World {
  readonly mesh: SimMesh;
  /** What the server got, a connection each. */
  readonly asked: Collected[];
}

async function openWorld(fields: object = {}, policies: readonly object[] = [ASK, WEB_MAY]): Promise<World> {
  const mesh = await openSimMesh({});
  const { network, clock } = mesh;
  const asked: Collected[] = [];
  await network.listen(AUTHZ_APP, (connection: Connection) => void asked.push(collect(connection)));
  await addAuthz(mesh, { network, clock, app: AUTHZ_APP, protocol: "HTTP" });
  const provider = providerOf({ name: "opa", envoyExtAuthzHttp: { service: AUTHZ_SERVICE, port: 9000, ...fields } });
  mesh.orders.policy.set(await customSetOf(policies, { providers: [provider], clock }));
  return { mesh, asked };
}

function get(path: string, fields = ""): string {
  return `GET ${path} HTTP/1.1\r\nHost: orders\r\n${fields}\r\n`;
}

describe("a CUSTOM policy whose provider speaks HTTP", () => {
  it("asks about what its rules match, and forwards what the server allows", async () => {
    const { mesh, asked } = await openWorld({ pathPrefix: "/check", includeRequestHeadersInCheck: ["x-team"] });
    const caller = await mesh.call(
      mesh.toOrders,
      get("/admin?x=1", "X-Team: red\r\nX-Other: no\r\nAuthorization: t\r\n"),
    );
    expect(asked[0]!.text()).toMatch(/^GET \/check\/admin\?x=1 HTTP\/1\.1\r\nhost: orders\r\n/i);
    expect(asked[0]!.text()).toMatch(/\r\nx-team: red\r\n/i);
    expect(asked[0]!.text()).toMatch(/\r\nauthorization: t\r\n/i);
    expect(asked[0]!.text()).not.toMatch(/x-other/i);
    expect(mesh.ordersApp).toEqual([]);
    say(asked[0]!, YES);
    await mesh.settle();
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    expect(caller.text()).toMatch(/hi$/);
  });

  it("is not asked about what none of its rules matches", async () => {
    const { mesh, asked } = await openWorld();
    await mesh.call(mesh.toOrders, get("/open"));
    expect(asked).toEqual([]);
    expect(mesh.ordersApp[0]!.text()).toMatch(/^GET \/open /);
  });

  it("gives a denied caller the server's status, headers and body, and its own id", async () => {
    const { mesh, asked } = await openWorld();
    const caller = await mesh.call(mesh.toOrders, get("/admin"));
    const denial =
      "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nX-Cardea-Denial: forged\r\nContent-Length: 5\r\n\r\nlogin";
    say(asked[0]!, denial);
    await mesh.settle();
    expect(caller.text()).toMatch(/^HTTP\/1\.1 401 [^]*www-authenticate: Bearer[^]*login$/i);
    expect(caller.text()).toMatch(/x-cardea-denial: [0-9a-f]{16}\r\n/i);
    expect(caller.text()).not.toContain("forged");
    expect(mesh.ordersApp).toEqual([]);
    const [denied] = mesh.orders.flows.filter(({ reporter }) => reporter === "destination");
    expect(denied).toMatchObject({
      verdict: "denied",
      reason: "custom-denied",
      policy: "shop/ask",
      rule: 0,
      status: 401,
    });
  });

  it("gives a denied caller only the headers that the provider lists, and what a login needs", async () => {
    const { mesh, asked } = await openWorld({ headersToDownstreamOnDeny: ["x-why*"] });
    const caller = await mesh.call(mesh.toOrders, get("/admin"));
    say(
      asked[0]!,
      "HTTP/1.1 302 Found\r\nLocation: /login\r\nX-Why-Not: team\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n",
    );
    await mesh.settle();
    expect(caller.text()).toMatch(/^HTTP\/1\.1 302 /);
    expect(caller.text()).toMatch(/location: \/login/i);
    expect(caller.text()).toMatch(/x-why-not: team/i);
    expect(caller.text()).not.toMatch(/set-cookie/i);
  });

  it("changes the headers that are listed, and never who calls or where it goes", async () => {
    const { mesh, asked } = await openWorld({
      headersToUpstreamOnAllow: ["x-*", "host"],
      headersToDownstreamOnAllow: ["x-seen"],
    });
    const caller = await mesh.call(mesh.toOrders, get("/admin", "X-User: forged\r\nCookie: secret\r\n"));
    const allowed =
      "HTTP/1.1 200 OK\r\nHost: evil\r\nX-User: ann\r\nX-Seen: yes\r\nX-Forwarded-Client-Cert: URI=spiffe://evil\r\nX-Cardea-Denial: x\r\n" +
      "X-Envoy-Auth-Headers-To-Remove: cookie, host\r\nContent-Length: 0\r\n\r\n";
    say(asked[0]!, allowed);
    await mesh.settle();
    const forwarded = mesh.ordersApp[0]!.text();
    expect(forwarded).toMatch(/\r\nhost: orders\r\n/i);
    expect(forwarded.match(/x-user: .*/gi)).toEqual(["x-user: ann"]);
    expect(forwarded).not.toMatch(/cookie|evil|x-cardea|forged/i);
    expect(forwarded.match(/x-forwarded-client-cert: .*/gi)).toHaveLength(1);
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    expect(caller.text()).toMatch(/x-seen: yes/i);
  });

  it("leaves the last word to DENY and ALLOW, on the headers as they are then", async () => {
    const deny = policy("no-guests", {
      action: "DENY",
      rules: [{ when: [{ key: "request.headers[x-role]", values: ["guest"] }] }],
    });
    const { mesh, asked } = await openWorld({ headersToUpstreamOnAllow: ["x-role"] }, [ASK, WEB_MAY, deny]);
    const caller = await mesh.call(mesh.toOrders, get("/admin"));
    say(asked[0]!, "HTTP/1.1 200 OK\r\nX-Role: guest\r\nContent-Length: 0\r\n\r\n");
    await mesh.settle();
    expect(caller.text()).toMatch(/^HTTP\/1\.1 403 /);
    expect(mesh.ordersApp).toEqual([]);
  });

  it.each<[string, string]>([
    ["a 5xx", "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"],
    ["what is no HTTP", "SSH-2.0-x\r\n\r\n"],
    ["two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 1\r\n\r\n"],
    ["an answer that is too long", `HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n${"x".repeat(70_000)}`],
  ])("denies by statusOnError when the server answers with %s", async (_name, answer) => {
    const { mesh, asked } = await openWorld({ statusOnError: "418" });
    const caller = await mesh.call(mesh.toOrders, get("/admin"));
    for (let i = 0; i < 3 && asked[i] !== undefined; i++) {
      say(asked[i]!, answer);
      await mesh.settle();
    }
    await mesh.pass(11_000);
    expect(caller.text()).toMatch(/^HTTP\/1\.1 418 [^]*x-cardea-denial/i);
    expect(mesh.ordersApp).toEqual([]);
    const [denied] = mesh.orders.flows.filter(({ reporter }) => reporter === "destination");
    expect(denied).toMatchObject({ verdict: "denied", reason: "custom-failed", policy: "shop/ask" });
  });

  it("denies when nobody answers in time, and tells the server to stop", async () => {
    const { mesh, asked } = await openWorld({ timeout: "2s" });
    const caller = await mesh.call(mesh.toOrders, get("/admin"));
    expect(asked).toHaveLength(1);
    await mesh.pass(3_000);
    expect(caller.text()).toMatch(/^HTTP\/1\.1 403 /);
    expect(asked[0]!.isClosed).toBe(true);
    const [denied] = mesh.orders.flows.filter(({ reporter }) => reporter === "destination");
    expect(denied).toMatchObject({
      reason: "custom-failed",
      detail: "the provider opa: upstream-timeout: no answer in 2000 ms",
    });
  });

  it("denies when the registry does not know the server", async () => {
    const { mesh } = await openWorld({ service: "nobody.shop.svc.cluster.local" });
    const caller = await mesh.call(mesh.toOrders, get("/admin"));
    await mesh.settle();
    expect(caller.text()).toMatch(/^HTTP\/1\.1 403 /);
    expect(mesh.ordersApp).toEqual([]);
  });

  it("asks no more once the caller has gone", async () => {
    const { mesh, asked } = await openWorld();
    const caller = await mesh.call(mesh.toOrders, get("/admin"));
    caller.connection.destroy({ reset: true });
    await mesh.settle();
    expect(asked[0]!.isClosed).toBe(true);
    expect(mesh.ordersApp).toEqual([]);
  });

  it("shows the body, waits for all of it, and forwards it whole", async () => {
    const { mesh, asked } = await openWorld({ includeRequestBodyInCheck: { maxRequestBytes: 8 } });
    const head = "POST /admin HTTP/1.1\r\nHost: o\r\nContent-Length: 6\r\n\r\n";
    const caller = await mesh.call(mesh.toOrders, `${head}abc`);
    expect(asked).toEqual([]);
    say(caller, "def");
    await mesh.settle();
    expect(asked[0]!.text()).toMatch(/content-length: 6\r\n\r\nabcdef$/i);
    expect(asked[0]!.text()).toMatch(/x-envoy-auth-partial-body: false/i);
    say(asked[0]!, YES);
    await mesh.settle();
    expect(mesh.ordersApp[0]!.text()).toMatch(/abcdef$/);
  });

  it("says of a request without its body that it has none", async () => {
    const { mesh, asked } = await openWorld();
    await mesh.call(mesh.toOrders, "POST /admin HTTP/1.1\r\nHost: o\r\nContent-Length: 3\r\n\r\nabc");
    await mesh.settle();
    expect(asked[0]!.text()).toMatch(/\r\ncontent-length: 0\r\n/i);
    expect(asked[0]!.text()).not.toMatch(/abc/);
  });

  it("gives leave to send a body that it has to show", async () => {
    const { mesh, asked } = await openWorld({ includeRequestBodyInCheck: { maxRequestBytes: 8 } });
    const head = "POST /admin HTTP/1.1\r\nHost: o\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    const caller = await mesh.call(mesh.toOrders, head);
    expect(caller.text()).toMatch(/^HTTP\/1\.1 100 /);
    say(caller, "abc");
    await mesh.settle();
    say(asked[0]!, YES);
    await mesh.settle();
    say(mesh.ordersApp[0]!, `HTTP/1.1 100 Continue\r\n\r\n${OK}`);
    await mesh.settle();
    expect(caller.text().match(/HTTP\/1\.1 100/g)).toHaveLength(1);
    expect(caller.text()).toMatch(/hi$/);
  });

  it("refuses a body that is longer than may be shown, with 413", async () => {
    const { mesh, asked } = await openWorld({ includeRequestBodyInCheck: { maxRequestBytes: 4 } });
    const caller = await mesh.call(mesh.toOrders, "POST /admin HTTP/1.1\r\nHost: o\r\nContent-Length: 6\r\n\r\nabcdef");
    await mesh.settle();
    expect(caller.text()).toMatch(/^HTTP\/1\.1 413 /);
    expect(asked).toEqual([]);
    expect(mesh.ordersApp).toEqual([]);
  });

  it("shows as much as may be shown where a part will do, and forwards all", async () => {
    const { mesh, asked } = await openWorld({
      includeRequestBodyInCheck: { maxRequestBytes: 4, allowPartialMessage: true },
    });
    await mesh.call(mesh.toOrders, "POST /admin HTTP/1.1\r\nHost: o\r\nContent-Length: 6\r\n\r\nabcdef");
    await mesh.settle();
    expect(asked[0]!.text()).toMatch(/x-envoy-auth-partial-body: true[^]*\r\n\r\nabcd$/i);
    say(asked[0]!, YES);
    await mesh.settle();
    expect(mesh.ordersApp[0]!.text()).toMatch(/abcdef$/);
  });

  it("cannot be asked about bytes, so a connection that its rule matches is denied", async () => {
    const { mesh, asked } = await openWorld();
    const caller = await mesh.call(mesh.toLedger, "BALANCE\n");
    await mesh.settle();
    expect(caller.error?.code).toBe("upstream-reset");
    expect(asked).toEqual([]);
    expect(mesh.ledgerApp).toEqual([]);
    expect(mesh.orders.flows).toMatchObject([{ verdict: "denied", reason: "custom-failed", protocol: "tcp" }]);
  });
});

describe("CUSTOM policies that can't be asked about deny what they match, and nothing else", () => {
  const other = policy("ask-another", {
    action: "CUSTOM",
    provider: { name: "other" },
    rules: [{ to: [{ operation: { paths: ["/admin*"] } }] }],
  });
  it.each([
    ["a provider that the mesh does not know", [other, WEB_MAY]],
    ["two providers for one workload", [ASK, other, WEB_MAY]],
  ])("%s", async (_name, policies) => {
    const { mesh, asked } = await openWorld({}, policies);
    expect((await mesh.call(mesh.toOrders, get("/admin"))).text()).toMatch(/^HTTP\/1\.1 403 /);
    expect(asked).toEqual([]);
    await mesh.call(mesh.toOrders, get("/open"));
    expect(mesh.ordersApp[0]!.text()).toMatch(/^GET \/open /);
  });
});
