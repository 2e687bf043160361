import { beforeAll, describe, expect, it } from "vitest";
import { LIMITS } from "../../src/core/limits.ts";
import type { MutualTls, MutualTlsMode } from "../../src/policy/authentication/mutual-tls.ts";
import { DEFAULT_PORT_TRAFFIC, DEFAULT_TRAFFIC_POLICY } from "../../src/traffic/default-traffic.ts";
import { PREFACE } from "../../src/wire/http2-codes.ts";
import { clientHello } from "../support/client-hello.ts";
import type { Collected } from "../support/collected.ts";
import { openSimMesh, say, type SimMesh, type SimMeshOptions } from "../support/sim-mesh.ts";
import { shopId } from "../support/test-authority.ts";
import { LEDGER_PORT, ORDERS_PORT, policy, policySetOf, WEB_MAY } from "../support/test-mesh.ts";

// What a called sidecar takes under PeerAuthentication: plaintext callers are nobody, and get what nobody may have.

const GET = "GET /x HTTP/1.1\r\nHost: orders\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const ANYBODY = policy("anybody", { action: "ALLOW", rules: [{}] });
const SILENT_MS = LIMITS.protocolDetectionMs + 250;
const APP_HELLO = clientHello({ alpn: ["postgresql"], sni: "db.example.com" });

function modes(mode: MutualTlsMode, ports: Readonly<Record<number, MutualTlsMode>> = {}): MutualTls {
  const by = "shop/peer";
  const byPort = Object.entries(ports).map(([port, each]) => [Number(port), { mode: each, by }] as const);
  return { mode, by, ports: new Map(byPort) };
}

function setOf(mutualTls: MutualTls, policies: readonly object[] = [ANYBODY], revision = "test-revision") {
  return policySetOf(policies, {}, revision, [], mutualTls);
}

function open(mode: MutualTlsMode, policies?: readonly object[], options: SimMeshOptions = {}): Promise<SimMesh> {
  return openSimMesh({ policy: setOf(modes(mode), policies), ...options });
}

// Loaded on demand, which would take longer than the simulated network waits.
beforeAll(() => import("../../src/proxy/read-plaintext.ts"));

const NOBODY = {
  reporter: "destination",
  tls: { version: null },
  source: { principal: null, namespace: null, workload: null },
};

describe.each(["PERMISSIVE", "DISABLE"] as const)("a port that is %s", (mode) => {
  it("lets plaintext requests through to whoever may call without identity, and records nobody", async () => {
    const mesh = await open(mode);
    const caller = await mesh.call(mesh.ordersInbound, GET);
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    expect(caller.text()).toMatch(/hi$/);
    expect(mesh.flows()).toMatchObject([{ ...NOBODY, protocol: "http", verdict: "allowed", path: "/x", status: 200 }]);
  });

  it("lets plaintext HTTP/2 through", async () => {
    const mesh = await open(mode);
    await mesh.call(mesh.ordersInbound, PREFACE.toString("latin1"));
    expect(mesh.network.openCount).toBe(2);
    expect(mesh.flows()).toEqual([]);
  });

  it("lets plaintext requests through octet by octet", async () => {
    const mesh = await open(mode);
    const caller = await mesh.call(mesh.ordersInbound);
    for (const octet of GET) {
      say(caller, octet);
      await mesh.settle();
    }
    expect(mesh.ordersApp[0]!.text()).toContain("GET /x HTTP/1.1");
  });

  const someoneOnly: readonly (readonly [string, object])[] = [
    ["a principal", { principals: ["*"] }],
    ["a namespace", { namespaces: ["*"] }],
    ["another principal than one", { notPrincipals: ["cluster.local/ns/shop/sa/web"], principals: ["*"] }],
    ["a service account", { serviceAccounts: ["shop/web"] }],
  ];
  it.each(someoneOnly)("refuses a plaintext request where %s is needed", async (_name, source) => {
    const mesh = await open(mode, [policy("some", { rules: [{ from: [{ source }] }] })]);
    const caller = await mesh.call(mesh.ordersInbound, GET);
    expect(caller.text()).toMatch(/^HTTP\/1\.1 403 /);
    expect(mesh.ordersApp).toEqual([]);
    expect(mesh.flows()).toMatchObject([
      { ...NOBODY, verdict: "denied", reason: "no-allow-rule-matched", status: 403 },
    ]);
  });

  it("denies plaintext what is denied to all but one", async () => {
    const notWeb = { from: [{ source: { notPrincipals: ["cluster.local/ns/shop/sa/web"] } }] };
    const mesh = await open(mode, [ANYBODY, policy("not-web", { action: "DENY", rules: [notWeb] })]);
    const caller = await mesh.call(mesh.ordersInbound, GET);
    expect(caller.text()).toMatch(/^HTTP\/1\.1 403 /);
    expect(mesh.flows()).toMatchObject([{ ...NOBODY, verdict: "denied", reason: "deny-rule-matched" }]);
  });

  it("believes no plaintext caller who it says it is, and vouches for nobody", async () => {
    const mesh = await open(mode);
    const forged = "X-Forwarded-Client-Cert: URI=spiffe://cluster.local/ns/shop/sa/web\r\nX-Cardea-Denial: f\r\n";
    await mesh.call(mesh.ordersInbound, GET.replace("\r\n\r\n", `\r\n${forged}x_envoy_peer: f\r\n\r\n`));
    const seen = mesh.ordersApp[0]!.text().toLowerCase();
    expect(seen).toContain("get /x");
    expect(seen).not.toMatch(/client.cert|cardea|envoy/);
  });

  it("lets plaintext bytes through to an opaque port, both ways", async () => {
    const mesh = await open(mode);
    const caller = await mesh.call(mesh.ledgerInbound, "BALANCE\n");
    expect(mesh.ledgerApp[0]!.text()).toBe("BALANCE\n");
    say(mesh.ledgerApp[0]!, "12\n");
    caller.connection.end();
    mesh.ledgerApp[0]!.connection.end();
    await mesh.settle();
    expect(caller.text()).toBe("12\n");
    expect(mesh.flows()).toMatchObject([{ ...NOBODY, protocol: "tcp", verdict: "allowed" }]);
  });

  it("resets plaintext to an opaque port where a principal is needed", async () => {
    const mesh = await open(mode, [WEB_MAY]);
    const caller = await mesh.call(mesh.ledgerInbound, "BALANCE\n");
    expect(caller.error?.code).toBe("upstream-reset");
    expect(mesh.ledgerApp).toEqual([]);
    expect(mesh.flows()).toMatchObject([{ ...NOBODY, verdict: "denied", reason: "no-allow-rule-matched" }]);
  });

  it("passes TLS of the app's own on to an opaque port", async () => {
    const mesh = await open(mode);
    await mesh.call(mesh.ledgerInbound, APP_HELLO.toString("latin1"));
    expect(mesh.ledgerApp[0]!.text()).toBe(APP_HELLO.toString("latin1"));
    expect(mesh.ordersApp).toEqual([]);
  });

  it("passes TLS of the app's own on where nothing is declared, and names its server", async () => {
    const mesh = await open(mode, [ANYBODY], { ordersProtocol: "AUTO" });
    const caller = await mesh.call(mesh.ordersInbound, APP_HELLO.toString("latin1"));
    expect(mesh.ordersApp[0]!.text()).toBe(APP_HELLO.toString("latin1"));
    caller.connection.end();
    mesh.ordersApp[0]!.connection.end();
    await mesh.settle();
    expect(mesh.flows()).toMatchObject([{ ...NOBODY, protocol: "tcp", appSni: "db.example.com" }]);
  });

  it("looks for requests where nothing is declared, and decides each", async () => {
    const gets = policy("gets", { rules: [{ to: [{ operation: { methods: ["GET"] } }] }] });
    const mesh = await open(mode, [gets], { ordersProtocol: "AUTO" });
    await mesh.call(mesh.ordersInbound, GET);
    expect(mesh.ordersApp[0]!.text()).toContain("GET /x");
    const caller = await mesh.call(mesh.ordersInbound, GET.replace("GET", "DELETE"));
    expect(caller.text()).toMatch(/^HTTP\/1\.1 403 /);
    expect(mesh.ordersApp).toHaveLength(1);
  });

  it.each(["TCP", "AUTO"] as const)("lets the server speak first on a port declared %s", async (ordersProtocol) => {
    const mesh = await open(mode, [ANYBODY], { ordersProtocol });
    const caller = await mesh.call(mesh.ordersInbound);
    await mesh.pass(SILENT_MS);
    say(mesh.ordersApp[0]!, "220 ready\r\n");
    await mesh.settle();
    expect(caller.text()).toBe("220 ready\r\n");
    say(caller, "HELO\r\n");
    await mesh.settle();
    expect(mesh.ordersApp[0]!.text()).toBe("HELO\r\n");
  });

  it("lets no request through as opaque bytes for having been silent", async () => {
    const mesh = await open(mode, [ANYBODY], { ordersProtocol: "AUTO" });
    const caller = await mesh.call(mesh.ordersInbound);
    await mesh.pass(SILENT_MS);
    say(caller, GET);
    await mesh.settle();
    expect(caller.isClosed).toBe(true);
    expect(mesh.ordersApp[0]!.text()).toBe("");
    expect(mesh.flows()).toMatchObject([{ reason: "protocol-mismatch" }]);
  });

  it("lets nothing through before the first policy", async () => {
    const mesh = await open(mode);
    mesh.orders.policy.set(null);
    const caller = await mesh.call(mesh.ordersInbound, GET);
    expect(caller.error?.code).toBe("upstream-reset");
    expect(mesh.flows()).toMatchObject([{ verdict: "denied", reason: "plaintext-refused" }]);
  });

  it("lets nothing through without a certificate of its own", async () => {
    const mesh = await open(mode, [ANYBODY], { identity: "absent" });
    await mesh.call(mesh.ordersInbound, GET);
    expect(mesh.ordersApp).toEqual([]);
    expect(mesh.flows()).toMatchObject([{ verdict: "denied", reason: "identity-not-ready" }]);
  });

  it("refuses plaintext on a port that is STRICT by itself", async () => {
    const mesh = await openSimMesh({ policy: setOf(modes(mode, { [LEDGER_PORT]: "STRICT" })) });
    await mesh.call(mesh.ledgerInbound, "BALANCE\n");
    expect(mesh.ledgerApp).toEqual([]);
    expect(mesh.flows()).toMatchObject([{ verdict: "denied", reason: "plaintext-refused" }]);
  });

  it("is a port alone where all others are STRICT", async () => {
    const mesh = await openSimMesh({ policy: setOf(modes("STRICT", { [ORDERS_PORT]: mode })) });
    await mesh.call(mesh.ledgerInbound, "BALANCE\n");
    await mesh.call(mesh.ordersInbound, GET);
    expect(mesh.ledgerApp).toEqual([]);
    expect(mesh.ordersApp[0]!.text()).toContain("GET /x");
  });

  it("still takes CONNECT over mutual TLS alone, and what is in it as its sender's", async () => {
    const mesh = await open(mode, [WEB_MAY], { hbone: true });
    const stranger = await mesh.call(mesh.hbone!, "CONNECT 127.0.0.1:5432 HTTP/1.1\r\n\r\n");
    expect(stranger.isClosed).toBe(true);
    expect(mesh.flows()).toMatchObject([{ verdict: "denied", reason: "plaintext-refused" }]);
    await mesh.call(mesh.toLedger, "BALANCE\n");
    expect(mesh.ledgerApp[0]!.text()).toBe("BALANCE\n");
  });

  const held: readonly (readonly [string, (mesh: SimMesh) => Promise<Collected>, object[]])[] = [
    ["a connection between two requests", idle, [{ verdict: "allowed", status: 200 }]],
    ["a request under way", (mesh) => mesh.call(mesh.ordersInbound, GET), [{ reason: "plaintext-refused" }]],
    ["half a request", (mesh) => mesh.call(mesh.ordersInbound, "GET /x HT"), []],
    ["opaque bytes", (mesh) => mesh.call(mesh.ledgerInbound, "BALANCE\n"), [{ reason: "plaintext-refused" }]],
  ];
  it.each(held)("that becomes STRICT ends %s at once", async (_name, begin, flows) => {
    const mesh = await open(mode);
    const caller = await begin(mesh);
    expect(isOver(caller)).toBe(false);
    mesh.orders.policy.set(setOf(modes("STRICT"), [ANYBODY], "second"));
    await mesh.settle();
    expect(isOver(caller)).toBe(true);
    expect(mesh.flows()).toMatchObject(flows);
    expect(mesh.orders.sidecar.connectionCount).toBe(0);
  });

  it("ends nothing when another port becomes STRICT, or the policy changes alone", async () => {
    const mesh = await open(mode);
    const caller = await mesh.call(mesh.ordersInbound, GET);
    mesh.orders.policy.set(setOf(modes(mode, { [LEDGER_PORT]: "STRICT" }), [ANYBODY], "second"));
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    expect(caller.text()).toMatch(/hi$/);
    expect(caller.isClosed).toBe(false);
  });

  it("ends a plaintext request that a new policy denies", async () => {
    const mesh = await open(mode);
    const caller = await mesh.call(mesh.ordersInbound, GET);
    mesh.orders.policy.set(setOf(modes(mode), [WEB_MAY], "second"));
    await mesh.settle();
    expect(caller.text()).toMatch(/^HTTP\/1\.1 403 /);
    expect(mesh.flows()).toMatchObject([{ ...NOBODY, reason: "permission-lost", revision: "second" }]);
  });

  it("drains plaintext connections as others", async () => {
    const mesh = await open(mode);
    const caller = await idle(mesh);
    void mesh.orders.sidecar.drain();
    await mesh.settle();
    expect(isOver(caller)).toBe(true);
  });
});

/** A connection without a request is ended, not reset. */
function isOver({ isEnded, isClosed }: Collected): boolean {
  return isEnded || isClosed;
}

async function idle(mesh: SimMesh) {
  const caller = await mesh.call(mesh.ordersInbound, GET);
  say(mesh.ordersApp[0]!, OK);
  await mesh.settle();
  return caller;
}

describe("a port that is PERMISSIVE", () => {
  it.each(["http/1.1", "h2"] as const)(
    "takes the mesh's own TLS (%s) beside plaintext, with its identity",
    async (between) => {
      const mesh = await open("PERMISSIVE", [WEB_MAY], { between });
      const caller = await mesh.call(mesh.toOrders, GET);
      say(mesh.ordersApp[0]!, OK);
      await mesh.settle();
      expect(caller.text()).toMatch(/hi$/);
      expect(mesh.orders.flows).toMatchObject([{ verdict: "allowed", source: { principal: shopId("web") } }]);
      expect(mesh.ordersApp[0]!.text()).toContain("x-forwarded-client-cert: By=");
    },
  );

  it("takes the mesh's own TLS on an opaque port", async () => {
    const mesh = await open("PERMISSIVE", [WEB_MAY]);
    await mesh.call(mesh.toLedger, "BALANCE\n");
    expect(mesh.ledgerApp[0]!.text()).toBe("BALANCE\n");
  });

  it("takes an upgrade from another sidecar", async () => {
    const mesh = await open("PERMISSIVE", [WEB_MAY]);
    await mesh.call(mesh.toOrders, "GET /ws HTTP/1.1\r\nHost: o\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    expect(mesh.ordersApp[0]!.text()).toMatch(/upgrade: websocket/i);
  });

  it("refuses the mesh's own TLS of a stranger, and does not take it for plaintext", async () => {
    const mesh = await open("PERMISSIVE");
    const { isClosed } = await mesh.callAs(
      mesh.authority.issue(shopId("web"), { notAfterMs: mesh.clock.wallMs() - 1 }),
      mesh.ordersInbound,
      { text: GET, alpn: ["istio-http/1.1"] },
    );
    expect(isClosed).toBe(true);
    expect(mesh.ordersApp).toEqual([]);
    expect(mesh.flows()).toMatchObject([{ verdict: "denied", reason: "peer-certificate-expired" }]);
  });

  it("gives other TLS to nobody where requests are declared", async () => {
    const mesh = await open("PERMISSIVE");
    const caller = await mesh.call(mesh.ordersInbound, APP_HELLO.toString("latin1"));
    expect(caller.isClosed).toBe(true);
    expect(mesh.ordersApp).toEqual([]);
    expect(mesh.flows()).toMatchObject([{ reason: "protocol-mismatch" }]);
  });

  it("gives a hello that does not come whole no more than the usual time", async () => {
    const mesh = await open("PERMISSIVE");
    const caller = await mesh.call(mesh.ledgerInbound, APP_HELLO.subarray(0, 20).toString("latin1"));
    await mesh.pass(LIMITS.firstBytesTimeoutMs - 250);
    expect(caller.isClosed).toBe(false);
    await mesh.pass(250);
    expect(caller.isClosed).toBe(true);
    expect(mesh.ledgerApp).toEqual([]);
    expect(mesh.flows()).toMatchObject([{ verdict: "error", reason: "request-timeout" }]);
  });

  it("keeps the connections of proved callers when it becomes STRICT", async () => {
    const mesh = await open("PERMISSIVE", [WEB_MAY]);
    const caller = await mesh.call(mesh.toOrders, GET);
    mesh.orders.policy.set(setOf(modes("STRICT"), [WEB_MAY], "second"));
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    expect(caller.text()).toMatch(/hi$/);
  });

  it("that becomes STRICT while the first bytes are awaited refuses them", async () => {
    const mesh = await open("PERMISSIVE");
    const caller = await mesh.call(mesh.ledgerInbound);
    mesh.orders.policy.set(setOf(modes("STRICT"), [ANYBODY], "second"));
    say(caller, "BALANCE\n");
    await mesh.settle();
    expect(caller.isClosed).toBe(true);
    expect(mesh.ledgerApp).toEqual([]);
    expect(mesh.flows()).toMatchObject([{ reason: "plaintext-refused", detail: expect.stringContaining("shop/peer") }]);
  });

  it("lets a rule on the server name decide about TLS of the app's own", async () => {
    const only = policy("db", { rules: [{ when: [{ key: "connection.sni", values: ["db.example.com"] }] }] });
    const mesh = await open("PERMISSIVE", [only]);
    await mesh.call(mesh.ledgerInbound, APP_HELLO.toString("latin1"));
    await mesh.call(mesh.ledgerInbound, clientHello({ alpn: [], sni: "other.example.com" }).toString("latin1"));
    expect(mesh.ledgerApp).toHaveLength(1);
    expect(mesh.flows()).toMatchObject([{ verdict: "denied", reason: "no-allow-rule-matched" }]);
  });
});

describe("a port that is DISABLE", () => {
  it("takes the mesh's own TLS for bytes of the app's", async () => {
    const mesh = await open("DISABLE");
    await mesh.call(mesh.ledgerInbound, clientHello({ alpn: ["istio"], sni: null }).toString("latin1"));
    expect(mesh.ledgerApp[0]!.text()).toContain("istio");
  });

  it("answers TLS where requests are declared as no request", async () => {
    const mesh = await open("DISABLE");
    const caller = await mesh.call(
      mesh.ordersInbound,
      clientHello({ alpn: ["istio-h2"], sni: null }).toString("latin1"),
    );
    expect(caller.text()).toMatch(/^HTTP\/1\.1 400 /);
    expect(mesh.ordersApp).toEqual([]);
  });

  it("lets the server speak first on an opaque port without any wait", async () => {
    const mesh = await open("DISABLE");
    const caller = await mesh.call(mesh.ledgerInbound);
    say(mesh.ledgerApp[0]!, "hello\n");
    await mesh.settle();
    expect(caller.text()).toBe("hello\n");
  });
});

/** A mesh whose registry says that orders and ledger take plaintext alone. */
async function toPlaintext(policies?: readonly object[]): Promise<SimMesh> {
  const mesh = await open("DISABLE", policies);
  mesh.register((endpoint) => ({ ...endpoint, isPlaintext: true }));
  return mesh;
}

describe("a caller's sidecar", () => {
  it("sends requests in plaintext where that alone is taken, and records that nobody was proved", async () => {
    const mesh = await toPlaintext();
    const caller = await mesh.call(mesh.toOrders, GET);
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    expect(caller.text()).toMatch(/hi$/);
    const plain = { verdict: "allowed", status: 200, tls: { version: null } };
    expect(mesh.flows()).toMatchObject([
      { ...plain, reporter: "source", destination: { principal: null, workload: "orders-1" } },
      { ...plain, reporter: "destination", source: { principal: null } },
    ]);
  });

  it("shares one plaintext connection between requests", async () => {
    const mesh = await toPlaintext();
    for (const path of ["/1", "/2", "/3"]) {
      await mesh.call(mesh.toOrders, GET.replace("/x", path));
      say(mesh.ordersApp[0]!, OK);
      await mesh.settle();
    }
    expect(mesh.orders.sidecar.connectionCount).toBe(1);
  });

  it("sends an upgrade in plaintext", async () => {
    const mesh = await toPlaintext();
    await mesh.call(mesh.toOrders, "GET /ws HTTP/1.1\r\nHost: o\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    expect(mesh.ordersApp[0]!.text()).toMatch(/upgrade: websocket/i);
  });

  it("sends opaque bytes in plaintext, around the HBONE port", async () => {
    const mesh = await open("DISABLE", [ANYBODY], { hbone: true });
    mesh.register((endpoint) => ({ ...endpoint, isPlaintext: true }));
    await mesh.call(mesh.toLedger, "BALANCE\n");
    expect(mesh.ledgerApp[0]!.text()).toBe("BALANCE\n");
    expect(mesh.orders.sidecar.connectionCount).toBe(1);
  });

  it("is nobody to a plaintext port's policy", async () => {
    const mesh = await toPlaintext([WEB_MAY]);
    const caller = await mesh.call(mesh.toOrders, GET);
    expect(caller.text()).toMatch(/^HTTP\/1\.1 403 /);
    expect(mesh.ordersApp).toEqual([]);
  });

  it("is refused where it sends plaintext and mutual TLS is wanted", async () => {
    const mesh = await openSimMesh();
    mesh.register((endpoint) => ({ ...endpoint, isPlaintext: true }));
    const caller = await mesh.call(mesh.toOrders, GET);
    expect(caller.text()).toMatch(/^HTTP\/1\.1 50\d /);
    expect(mesh.ordersApp).toEqual([]);
    expect(mesh.orders.flows[0]).toMatchObject({ verdict: "denied", reason: "plaintext-refused" });
  });

  it("never tries plaintext where the registry does not say so", async () => {
    const mesh = await open("DISABLE");
    await mesh.call(mesh.toOrders, GET);
    expect(mesh.ordersApp).toEqual([]);
    expect(mesh.orders.flows).toMatchObject([{ verdict: "error", reason: "bad-request" }]);
  });

  it("goes over to plaintext with its next request when the registry says so", async () => {
    const mesh = await open("PERMISSIVE");
    for (const isPlaintext of [false, true]) {
      mesh.register((endpoint) => ({ ...endpoint, isPlaintext }));
      await mesh.call(mesh.toOrders, GET);
      say(mesh.ordersApp[0]!, OK);
      await mesh.settle();
    }
    expect(mesh.orders.flows.map(({ source }) => source.principal)).toEqual([shopId("web"), null]);
  });

  it.each([
    ["DISABLE", false, null],
    ["ISTIO_MUTUAL", true, shopId("web")],
  ] as const)(
    "does what a DestinationRule says (%s), whatever the registry does",
    async (mode, isPlaintext, principal) => {
      const mesh = await open("PERMISSIVE");
      const traffic = { ...DEFAULT_PORT_TRAFFIC, policy: { ...DEFAULT_TRAFFIC_POLICY, tls: mode } };
      const byService = new Map([["orders.shop.svc.cluster.local", { ports: new Map(), default: traffic }]]);
      mesh.web.traffic.set({ revision: "rules", byService, bySuffix: new Map() });
      mesh.register((endpoint) => ({ ...endpoint, isPlaintext }));
      await mesh.call(mesh.toOrders, GET);
      say(mesh.ordersApp[0]!, OK);
      await mesh.settle();
      expect(mesh.orders.flows).toMatchObject([{ verdict: "allowed", source: { principal } }]);
    },
  );
});
