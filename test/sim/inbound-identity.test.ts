import { describe, expect, it } from "vitest";
import type { Identity } from "../../src/proxy/identity/identity.ts";
import { openSimMesh, say, type SimMesh } from "../support/sim-mesh.ts";
import { createTestAuthority, shopId } from "../support/test-authority.ts";
import { BETWEEN, policy, policySetOf, WEB_MAY } from "../support/test-mesh.ts";

const GET = "GET /x HTTP/1.1\r\nHost: orders\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

describe.each(BETWEEN)("the inbound side, with %s between the sidecars", (between) => {
  it("lets a proved and permitted caller through, and records it on both sides", async () => {
    const mesh = await openSimMesh({ between });
    const caller = await mesh.call(mesh.toOrders, GET);
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    expect(caller.text()).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*hi$/);
    expect(mesh.flows()).toMatchObject([
      {
        reporter: "source",
        verdict: "allowed",
        reason: "service-registered",
        status: 200,
        servicePort: 80,
        source: { principal: shopId("web"), workload: "web" },
        destination: { principal: shopId("orders"), port: 8080, service: "orders.shop.svc.cluster.local" },
        tls: { version: "TLSv1.3" },
      },
      {
        reporter: "destination",
        verdict: "allowed",
        reason: "allow-rule-matched",
        policy: "shop/web-may",
        rule: 0,
        path: "/x",
        source: { principal: shopId("web"), namespace: "shop", workload: "web-1" },
        destination: { principal: shopId("orders"), port: 8080, service: "orders.shop.svc.cluster.local" },
        bytesSent: 2,
        endedBy: "upstream",
      },
    ]);
    const [source, destination] = mesh.flows();
    expect(destination!.traceId).toBe(source!.traceId);
    expect(destination!.parentSpanId).toBe(source!.spanId);
  });

  const strangers: readonly (readonly [string, string, (mesh: SimMesh) => Identity])[] = [
    ["another CA's certificate", "peer-certificate-untrusted", () => createTestAuthority().issue(shopId("web"))],
    [
      "an expired certificate",
      "peer-certificate-expired",
      ({ authority, clock }) => authority.issue(shopId("web"), { notAfterMs: clock.wallMs() - 1 }),
    ],
    [
      "no certificate",
      "peer-certificate-missing",
      ({ authority }) => {
        const identity = authority.issue(shopId("web"));
        return { ...identity, material: { ...identity.material, chainPem: "" } };
      },
    ],
    [
      "a certificate of another trust domain",
      "peer-certificate-untrusted",
      () => createTestAuthority("other.example").issue("spiffe://other.example/ns/shop/sa/web"),
    ],
  ];

  it.each(strangers)("resets a caller with %s, and records it once", async (_name, reason, identityOf) => {
    const mesh = await openSimMesh({ between });
    const caller = await mesh.callAs(identityOf(mesh), mesh.ordersInbound, { text: GET });
    expect(caller.isClosed).toBe(true);
    expect(caller.error?.code).toBe("upstream-reset");
    expect(caller.bytes).toBe(0);
    expect(mesh.ordersApp).toEqual([]);
    expect(mesh.flows()).toMatchObject([
      { reporter: "destination", verdict: "denied", reason, source: { principal: null } },
    ]);
  });

  it("refuses plaintext", async () => {
    const mesh = await openSimMesh({ between });
    const caller = await mesh.call(mesh.ordersInbound, GET);
    expect(caller.error?.code).toBe("upstream-reset");
    expect(caller.bytes).toBe(0);
    expect(mesh.ordersApp).toEqual([]);
    expect(mesh.flows()).toMatchObject([{ verdict: "denied", reason: "plaintext-refused", tls: { version: null } }]);
  });

  it("refuses plaintext to a TCP port", async () => {
    const mesh = await openSimMesh({ between });
    await mesh.call(mesh.ledgerInbound, "BALANCE\n");
    expect(mesh.ledgerApp).toEqual([]);
    expect(mesh.flows()).toMatchObject([{ verdict: "denied", reason: "plaintext-refused" }]);
  });

  it.each(["x", "G", "\0", "\x16\x02", "\x17\x03"])("refuses plaintext of no more than %j at once", async (text) => {
    const mesh = await openSimMesh({ between });
    const caller = await mesh.call(mesh.ordersInbound, text);
    expect(caller.isClosed).toBe(true);
    expect(caller.bytes).toBe(0);
    expect(mesh.flows()).toMatchObject([{ verdict: "denied", reason: "plaintext-refused" }]);
  });

  it("gives a caller that sends its first record drop by drop no more time for it", async () => {
    const mesh = await openSimMesh({ between });
    const caller = await mesh.call(mesh.ordersInbound, "\x16");
    await mesh.pass(4_000);
    say(caller, "\x03");
    await mesh.pass(999);
    expect(caller.isClosed).toBe(false);
    await mesh.pass(1);
    expect(caller.isClosed).toBe(true);
    expect(mesh.flows()).toMatchObject([{ verdict: "error", reason: "request-timeout" }]);
  });

  it.each(["\x16", "\x16\x03"])("waits a stated time for the rest of a first record that begins %j", async (text) => {
    const mesh = await openSimMesh({ between });
    const caller = await mesh.call(mesh.ordersInbound, text);
    expect(mesh.flows()).toEqual([]);
    await mesh.pass(5_000);
    expect(caller.isClosed).toBe(true);
    expect(mesh.flows()).toMatchObject([{ verdict: "error", reason: "request-timeout" }]);
  });

  it("records a caller that leaves without a word", async () => {
    const mesh = await openSimMesh({ between });
    const caller = await mesh.call(mesh.ordersInbound);
    caller.connection.end();
    await mesh.settle();
    expect(mesh.flows()).toMatchObject([{ verdict: "error", reason: "downstream-reset", endedBy: "downstream" }]);
    expect(mesh.network.openCount).toBe(0);
  });

  it.each([
    ["http", ["istio"]],
    ["http", ["h3"]],
    ["http", ["istio-peer-exchange"]],
    ["tcp", ["istio-peer-exchange"]],
  ])("turns away on a port declared %s who offers %j", async (port, alpn) => {
    const mesh = await openSimMesh({ between });
    const to = port === "http" ? mesh.ordersInbound : mesh.ledgerInbound;
    await expect(mesh.callAs(mesh.authority.issue(shopId("web")), to, { alpn })).rejects.toMatchObject({
      code: "tls-handshake-failed",
    });
    expect(mesh.flows()).toMatchObject([{ verdict: "denied", reason: "tls-handshake-failed" }]);
  });

  it("answers a proved but not permitted caller with 403, an id, and not a word more", async () => {
    const mesh = await openSimMesh({ between });
    const caller = await mesh.callAs(mesh.authority.issue(shopId("reports")), mesh.ordersInbound, { text: GET });
    const [flow] = mesh.flows();
    expect(flow).toMatchObject({ verdict: "denied", reason: "no-allow-rule-matched", policy: null, status: 403 });
    expect(flow!.id).toMatch(/^[0-9a-f]{16}$/);
    expect(caller.text()).toBe(
      `HTTP/1.1 403 Forbidden\r\ncontent-type: text/plain\r\nx-cardea-denial: ${flow!.id}\r\n` +
        "content-length: 20\r\n\r\nRBAC: access denied\n",
    );
    expect(mesh.ordersApp).toEqual([]);
    expect(mesh.flows()).toHaveLength(1);
  });

  it("resets a proved but not permitted caller of a TCP port before anything reaches the app", async () => {
    const mesh = await openSimMesh({ between });
    const reports = mesh.authority.issue(shopId("reports"));
    const caller = await mesh.callAs(reports, mesh.ledgerInbound, { text: "BALANCE\n", alpn: ["istio"] });
    expect(caller.error?.code).toBe("upstream-reset");
    expect(mesh.ledgerApp).toEqual([]);
    expect(mesh.flows()).toMatchObject([{ verdict: "denied", reason: "no-allow-rule-matched", protocol: "tcp" }]);
  });

  it("lets through in AUDIT what it would deny, and says so", async () => {
    const mesh = await openSimMesh({ between, policy: policySetOf([WEB_MAY], { enforcement: "AUDIT" }) });
    await mesh.callAs(mesh.authority.issue(shopId("reports")), mesh.ordersInbound, { text: GET });
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    expect(mesh.flows()).toMatchObject([{ verdict: "would-deny", reason: "no-allow-rule-matched", status: 200 }]);
  });

  it("records what AUDIT policies mark and dry runs would change, and lets through what they do not decide", async () => {
    const dryRun = { annotations: { "istio.io/dry-run": "true" } };
    const denyAll = policy("deny-all", { action: "DENY", rules: [{}] });
    const staged = { ...denyAll, metadata: { name: "deny-all", namespace: "shop", ...dryRun } };
    const watch = policy("watch", { action: "AUDIT", rules: [{ from: [{ source: { namespaces: ["shop"] } }] }] });
    const mesh = await openSimMesh({ between, policy: policySetOf([WEB_MAY, staged, watch]) });
    await mesh.callAs(mesh.authority.issue(shopId("web")), mesh.ordersInbound, { text: GET });
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    await mesh.callAs(mesh.authority.issue(shopId("reports")), mesh.ordersInbound, { text: GET });
    expect(mesh.flows()).toMatchObject([
      {
        verdict: "allowed",
        policy: "shop/web-may",
        auditedBy: "shop/watch#0",
        dryRun: "denied",
        dryRunBy: "shop/deny-all#0",
      },
      { verdict: "denied", auditedBy: "shop/watch#0", dryRun: null, dryRunBy: null },
    ]);
  });

  it("refuses everything before the first policy", async () => {
    const mesh = await openSimMesh({ between, policy: null });
    const web = mesh.authority.issue(shopId("web"));
    const caller = await mesh.callAs(web, mesh.ordersInbound, { text: GET });
    expect(caller.text()).toMatch(/^HTTP\/1\.1 503 /);
    await mesh.callAs(web, mesh.ledgerInbound, { text: "BALANCE\n", alpn: ["istio"] });
    expect(mesh.ordersApp).toEqual([]);
    expect(mesh.ledgerApp).toEqual([]);
    expect(mesh.flows()).toMatchObject([
      { verdict: "denied", reason: "policy-not-loaded" },
      { verdict: "denied", reason: "policy-not-loaded" },
    ]);
    expect(mesh.orders.sidecar.isReady).toBe(false);
  });

  it("refuses everything before the first certificate", async () => {
    const mesh = await openSimMesh({ between, identity: "absent" });
    const caller = await mesh.call(mesh.ordersInbound, "\x16\x03\x01\x00\x00");
    expect(caller.isClosed).toBe(true);
    expect(mesh.flows()).toMatchObject([{ verdict: "denied", reason: "identity-not-ready" }]);
    expect(mesh.orders.sidecar.isReady).toBe(false);
  });

  it("refuses everything when its own certificate has ended", async () => {
    const mesh = await openSimMesh({ between });
    mesh.orders.identity.set(mesh.authority.issue(shopId("orders"), { notAfterMs: mesh.clock.wallMs() + 1_000 }));
    await mesh.pass(1_000);
    await mesh.call(mesh.ordersInbound, "\x16\x03\x01\x00\x00");
    expect(mesh.flows()).toMatchObject([{ verdict: "denied", reason: "identity-not-ready" }]);
  });

  it("takes no word of the caller's for who it is, and tells the app itself", async () => {
    const mesh = await openSimMesh({ between });
    const web = mesh.authority.issue(shopId("web"));
    await mesh.callAs(web, mesh.ordersInbound, {
      text:
        "GET / HTTP/1.1\r\nHost: orders\r\nX-Forwarded-Client-Cert: By=a;URI=spiffe://cluster.local/ns/shop/sa/admin\r\n" +
        "x_forwarded_client_cert: forged\r\nX-Envoy-Peer: forged\r\nx-cardea-anything: forged\r\nConnection: x-secret\r\n" +
        "X-Secret: nominated\r\nAccept: */*\r\n\r\n",
    });
    const sent = mesh.ordersApp[0]!.text();
    expect(sent).not.toContain("forged");
    expect(sent).not.toContain("admin");
    expect(sent).not.toContain("nominated");
    expect(sent).toMatch(
      /^GET \/ HTTP\/1\.1\r\nhost: orders\r\nAccept: \*\/\*\r\ntraceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-02\r\nx-forwarded-client-cert: By=spiffe:\/\/cluster\.local\/ns\/shop\/sa\/orders;Hash=[0-9a-f]{64};URI=spiffe:\/\/cluster\.local\/ns\/shop\/sa\/web\r\n\r\n$/,
    );
  });

  it("strips what the app's own answer says of the mesh", async () => {
    const mesh = await openSimMesh({ between });
    const caller = await mesh.call(mesh.toOrders, GET);
    say(mesh.ordersApp[0]!, "HTTP/1.1 200 OK\r\nX-Cardea-Denial: 0123456789abcdef\r\nContent-Length: 0\r\n\r\n");
    await mesh.settle();
    expect(caller.text()).toBe("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  });

  it("believes a server name only where the service is its own", async () => {
    const mesh = await openSimMesh({ between });
    const web = mesh.authority.issue(shopId("web"));
    for (const sni of ["outbound_.80_._.payments.shop.svc.cluster.local", "orders", "outbound_.81_._.orders.shop"]) {
      await mesh.callAs(web, mesh.ordersInbound, { text: "GET / HTTP/1.1\r\nHost: o\r\n\r\n", sni });
      say(mesh.ordersApp[0]!, OK);
      await mesh.settle();
    }
    expect(mesh.flows().map((flow) => flow.destination.service)).toEqual([null, null, null]);
  });

  it("dials its app and nothing else, whatever Host and target say", async () => {
    const mesh = await openSimMesh({ between });
    const web = mesh.authority.issue(shopId("web"));
    const caller = await mesh.callAs(web, mesh.ordersInbound, {
      text: `GET http://127.0.0.1:${mesh.proxy.port}/y HTTP/1.1\r\nHost: other\r\n\r\nCONNECT ledger:5432 HTTP/1.1\r\nHost: l:1\r\n\r\n`,
    });
    expect(mesh.ordersApp[0]!.text()).toMatch(
      new RegExp(`^GET /y HTTP/1\\.1\r\nhost: 127\\.0\\.0\\.1:${mesh.proxy.port}\r\n`),
    );
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    expect(caller.text()).toMatch(/HTTP\/1\.1 405 /);
    expect(mesh.ledgerApp).toEqual([]);
  });
});
