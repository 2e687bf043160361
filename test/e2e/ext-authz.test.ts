import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { type AddressInfo, connect, createServer as createNetServer, type Server as NetServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Address } from "../../src/core/ports.ts";
import { systemClock } from "../../src/io/clock.ts";
import { createSocketNetwork } from "../../src/io/sockets.ts";
import { addAuthz, AUTHZ_SERVICE, customSetOf, providerOf } from "../support/asked-outside.ts";
import { type RunningCardea, startCardea } from "../support/cardea.ts";
import { curl } from "../support/curl.ts";
import { clusterAt, ENVOY, freePort, type RunningEnvoy, socketAddress, startEnvoy } from "../support/envoy.ts";
import { eventually } from "../support/local-mesh.ts";
import { createTestAuthority, shopId } from "../support/test-authority.ts";
import { openTestMesh, policy, type TestMesh, WEB_MAY } from "../support/test-mesh.ts";

// `cardea ext-authz` as a process, asked by Envoy and by our own sidecars, by gRPC and by HTTP.

const POLICIES = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ledger, namespace: shop }
spec:
  selector: { matchLabels: { app: ledger } }
  rules:
    - from: [{ source: { principals: [cluster.local/ns/shop/sa/web] } }]
      to: [{ operation: { methods: [GET], paths: [/balance*] } }]
    - from: [{ source: { principals: [cluster.local/ns/shop/sa/orders] } }]
      when: [{ key: "request.headers[x-tier]", values: [gold] }]
`;

const directory = mkdtempSync(join(tmpdir(), "cardea-ext-authz-"));
const policyFile = join(directory, "policies", "ledger.yaml");
let server: RunningCardea;
let at: { readonly grpc: Address; readonly http: Address };
const lines: Record<string, unknown>[] = [];
let app: Server;
let appPort: number;
const seen: IncomingMessage[] = [];

beforeAll(async () => {
  mkdirSync(join(directory, "policies"));
  writeFileSync(policyFile, POLICIES);
  const listen = ["--listen", "127.0.0.1:0", "--listen-http", "127.0.0.1:0", "--http-path-prefix", "/check"];
  const about = ["--namespace", "shop", "--labels", "app=ledger", "--trust-xfcc"];
  server = startCardea(["ext-authz", "--policies", join(directory, "policies"), ...listen, ...about]);
  const first = await server.lines.next();
  at = JSON.parse(first.value as string) as typeof at;
  void (async () => {
    for await (const line of server.lines) lines.push(JSON.parse(line) as Record<string, unknown>);
  })();
  app = createServer((request, response) => {
    seen.push(request);
    response.end("the app\n");
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => void app.once("listening", resolve));
  appPort = (app.address() as AddressInfo).port;
});

afterAll(async () => {
  server.child.kill("SIGTERM");
  expect((await server.finished).code).toBe(0);
  app.closeAllConnections();
  app.close();
  rmSync(directory, { recursive: true, force: true });
});

/** What is asked in each of the forms: a caller, a request, and what is decided. */
const CASES: readonly [string, string, readonly string[], number][] = [
  ["web", "/balance?of=1", [], 200],
  ["web", "/balance", ["-X", "POST"], 403],
  ["web", "/admin", [], 403],
  ["web", "/balance/%2e%2e/admin", ["--path-as-is"], 403],
  ["orders", "/anything", [], 403],
  ["orders", "/anything", ["-H", "X-Tier: gold"], 200],
  ["orders", "/anything", ["-H", "X-Tier: silver", "-H", "X-Tier: gold"], 403],
  ["thief", "/balance", [], 403],
];

describe.skipIf(ENVOY === "").each(["grpc", "http"] as const)("Envoy (needs ENVOY, its program) asks by %s", (form) => {
  const authority = createTestAuthority();
  let envoy: RunningEnvoy;
  let port: number;

  beforeAll(async () => {
    for (const name of ["web", "orders", "thief", "ledger"]) {
      const { material } = authority.issue(shopId(name));
      writeFileSync(join(directory, `${name}.pem`), material.chainPem);
      writeFileSync(join(directory, `${name}.key`), material.keyPem);
    }
    writeFileSync(join(directory, "roots.pem"), authority.bundle.pem);
    port = await freePort();
    envoy = await startEnvoy(directory, envoyAsking(form, port));
  });
  afterAll(() => envoy.close());

  it.each(CASES)("%s %s %s → %i", async (caller, path, words, status) => {
    const certificate = ["--cert", join(directory, `${caller}.pem`), "--key", join(directory, `${caller}.key`)];
    const answer = await curl("-k", ...certificate, ...words, `https://127.0.0.1:${port}${path}`);
    expect(answer.status, answer.stderr + answer.body).toBe(status);
    if (status === 200) expect(answer.body).toBe("the app\n");
    else {
      expect(answer.body).toBe("RBAC: access denied\n");
      const id = answer.headers["x-cardea-denial"];
      expect(id).toMatch(/^[0-9a-f]{16}$/);
      const line = await eventually(() => Promise.resolve(lines.find((each) => each["id"] === id) ?? null));
      expect(line).toMatchObject({
        decision: "deny",
        source: { principal: shopId(caller) },
        destination: { namespace: "shop" },
      });
    }
  });

  it("denies while nobody answers", async () => {
    const dead = await freePort();
    const deadPort = await freePort();
    const lonely = await startEnvoy(directory, envoyAsking(form, dead, deadPort));
    const certificate = ["--cert", join(directory, "web.pem"), "--key", join(directory, "web.key")];
    expect((await curl("-k", ...certificate, `https://127.0.0.1:${dead}/balance`)).status).toBe(403);
    await lonely.close();
  });
});

describe.each(["grpc", "http"] as const)("a sidecar of ours asks by %s, where a CUSTOM policy says so", (form) => {
  let mesh: TestMesh;
  let toOrders: string;

  beforeAll(async () => {
    const network = createSocketNetwork();
    const clock = systemClock;
    const appAt = { host: "127.0.0.1", port: appPort };
    mesh = await openTestMesh({ network, clock, ordersApp: appAt, ledgerApp: appAt });
    const protocol = form === "grpc" ? "HTTP2" : "HTTP";
    await addAuthz(mesh, { network, clock, app: form === "grpc" ? at.grpc : at.http, protocol });
    const where = { service: AUTHZ_SERVICE, port: 9000 };
    const http = { ...where, pathPrefix: "/check", includeRequestHeadersInCheck: ["x-*"] };
    const provider = providerOf({
      name: "own",
      ...(form === "grpc" ? { envoyExtAuthzGrpc: where } : { envoyExtAuthzHttp: http }),
    });
    const ask = policy("ask", { action: "CUSTOM", provider: { name: "own" }, rules: [{}] });
    mesh.orders.policy.set(await customSetOf([ask, WEB_MAY], { providers: [provider], clock }));
    toOrders = `http://127.0.0.1:${mesh.toOrders.port}`;
  });
  afterAll(() => mesh.close());

  it("and forwards what it allows", async () => {
    // By HTTP it is orders' own sidecar that the server sees by its certificate: whom it calls for it is not told.
    const path = form === "grpc" ? "/balance" : "/any";
    const words = form === "grpc" ? [] : ["-H", "X-Tier: gold"];
    expect(await curl(...words, `${toOrders}${path}`)).toMatchObject({ status: 200, body: "the app\n" });
    const asked = mesh.orders.flows.filter(({ reporter }) => reporter === "source");
    expect(asked).toMatchObject([{ verdict: "allowed", destination: { service: AUTHZ_SERVICE } }]);
  });

  it("and gives the caller its denial, and the record the policy that asked", async () => {
    const answer = await curl("-X", "DELETE", `${toOrders}/balance`);
    expect(answer).toMatchObject({ status: 403, body: "RBAC: access denied\n" });
    expect(answer.headers["x-cardea-denial"]).toMatch(/^[0-9a-f]{16}$/);
    const flow = mesh.orders.flows.findLast(({ reporter }) => reporter === "destination");
    expect(flow).toMatchObject({ reason: "custom-denied", policy: "shop/ask", id: answer.headers["x-cardea-denial"] });
  });
});

describe.each([
  ["as they are", false],
  ["over HBONE", true],
])("a sidecar of ours asks by gRPC about opaque connections %s", (_name, hbone) => {
  const more = join(directory, "policies", "tcp.yaml");
  const ON_TCP = POLICIES.replace("name: ledger", "name: tcp").replace(
    / {6}to: .*/,
    '      to: [{ operation: { ports: ["5432"] } }]',
  );
  const ASK = policy("ask", {
    action: "CUSTOM",
    provider: { name: "own" },
    rules: [{ to: [{ operation: { ports: ["5432"] } }] }],
  });
  let echo: NetServer;
  let mesh: TestMesh;

  const setAsking = (name: string, revision: string) =>
    customSetOf([{ ...ASK, spec: { ...(ASK as { spec: object }).spec, provider: { name } } }, WEB_MAY], {
      providers: [providerOf({ name, envoyExtAuthzGrpc: { service: AUTHZ_SERVICE, port: 9000 } })],
      clock: systemClock,
      revision,
    });

  beforeAll(async () => {
    echo = createNetServer((socket) => void socket.pipe(socket).on("error", () => {})).listen(0, "127.0.0.1");
    await new Promise((resolve) => void echo.once("listening", resolve));
    const network = createSocketNetwork();
    const clock = systemClock;
    const echoAt = { host: "127.0.0.1", port: (echo.address() as AddressInfo).port };
    mesh = await openTestMesh({ network, clock, ordersApp: echoAt, ledgerApp: echoAt, hbone });
    await addAuthz(mesh, { network, clock, app: at.grpc, protocol: "HTTP2" });
    mesh.orders.policy.set(await setAsking("own", "first"));
  });
  afterAll(async () => {
    await mesh.close();
    echo.close();
    rmSync(more, { force: true });
  });

  /** What comes back of a line, and how it ends. */
  function connected() {
    const socket = connect(mesh.toLedger.port, "127.0.0.1");
    let text = "";
    let isOver = false;
    socket.on("data", (chunk: Buffer) => (text += chunk.toString()));
    socket.on("error", () => {});
    socket.on("close", () => (isOver = true));
    socket.write("hello\n");
    return { socket, text: () => text, isOver: () => isOver };
  }

  it("and ends what it denies, which the app never sees", async () => {
    // The server may still be reading that what the other way of connecting was granted has gone.
    const denied = await eventually(async () => {
      const tried = connected();
      await eventually(() => Promise.resolve(tried.isOver() || tried.text() === "hello\n"));
      tried.socket.destroy();
      return tried.isOver() ? tried : null;
    });
    expect(denied.text()).toBe("");
    const flow = await eventually(() =>
      Promise.resolve(mesh.orders.flows.findLast(({ reporter }) => reporter === "destination") ?? null),
    );
    expect(flow).toMatchObject({ verdict: "denied", reason: "custom-denied", policy: "shop/ask", protocol: "tcp" });
  });

  it("and carries what it allows, until another server would have to be asked", async () => {
    writeFileSync(more, ON_TCP);
    const allowed = await eventually(async () => {
      const tried = connected();
      await eventually(() => Promise.resolve(tried.isOver() || tried.text() === "hello\n"));
      return tried.isOver() ? null : tried;
    });
    mesh.orders.policy.set(await setAsking("own", "second"));
    allowed.socket.write("again\n");
    await eventually(() => Promise.resolve(allowed.text() === "hello\nagain\n"));
    mesh.orders.policy.set(await setAsking("another", "third"));
    await eventually(() => Promise.resolve(allowed.isOver()));
    const flow = await eventually(() =>
      Promise.resolve(mesh.orders.flows.findLast(({ reason }) => reason === "permission-lost") ?? null),
    );
    expect(flow).toMatchObject({ verdict: "denied", policy: "shop/ask", revision: "third", bytesReceived: 12 });
  });
});

it("policies that change are followed, and a bad set leaves the one before in force", async () => {
  expect(await askForNew()).toBe(403);
  writeFileSync(policyFile, POLICIES.replace("/balance*", "/new"));
  await eventually(async () => (await askForNew()) === 200);
  writeFileSync(policyFile, POLICIES.replace("methods:", "method:"));
  writeFileSync(
    join(directory, "policies", "more.yaml"),
    POLICIES.replace("name: ledger", "name: more").replace("/balance*", "/other"),
  );
  // Nothing tells that a bad set was read but stderr, which is only whole at the end; it is asked for a while.
  for (let i = 0; i < 10; i++) expect(await askForNew()).toBe(200);
  writeFileSync(policyFile, POLICIES);
  await eventually(async () => (await askForNew()) === 403);
});

describe("the HTTP form, asked directly", () => {
  it.each<[string, string[], number]>([
    ["nobody in particular", [], 403],
    [
      "two elements of XFCC, of which the first may be anybody's",
      ["-H", `X-Forwarded-Client-Cert: URI=${shopId("web")},URI=${shopId("thief")}`],
      403,
    ],
    ["two URIs", ["-H", `X-Forwarded-Client-Cert: URI=${shopId("web")};URI=${shopId("thief")}`], 403],
    ["web", ["-H", `X-Forwarded-Client-Cert: URI=${shopId("web")}`], 200],
  ])("by %s", async (_name, words, status) => {
    expect((await curl(...words, `http://127.0.0.1:${at.http.port}/check/balance`)).status).toBe(status);
  });

  it("refuses a path that its proxy did not bring into normal form, and one without the prefix", async () => {
    const web = ["-H", `X-Forwarded-Client-Cert: URI=${shopId("web")}`];
    const own = `http://127.0.0.1:${at.http.port}`;
    expect((await curl("--path-as-is", ...web, `${own}/check/balance/../balance`)).status).toBe(400);
    expect((await curl(...web, `${own}/balance`)).status).toBe(400);
  });
});

/** By HTTP, as a proxy that web has called. */
async function askForNew(): Promise<number> {
  const caller = `X-Forwarded-Client-Cert: By=x;Hash=y;URI=${shopId("web")}`;
  return (await curl("-H", caller, `http://127.0.0.1:${at.http.port}/check/new`)).status;
}

/** A listener of mutual TLS that asks before it forwards to the app. */
function envoyAsking(by: "grpc" | "http", listen: number, authzPort?: number): object {
  const authz = authzPort ?? (by === "grpc" ? at.grpc.port : at.http.port);
  const type = "type.googleapis.com/envoy.extensions";
  const service =
    by === "grpc"
      ? { grpc_service: { envoy_grpc: { cluster_name: "authz" }, timeout: "5s" } }
      : {
          http_service: {
            server_uri: { uri: "http://authz", cluster: "authz", timeout: "5s" },
            path_prefix: "/check",
            authorization_response: { allowed_client_headers: { patterns: [{ exact: "x-cardea-denial" }] } },
          },
          allowed_headers: { patterns: [{ exact: "x-forwarded-client-cert" }, { exact: "x-tier" }] },
        };
  const filters = [
    {
      name: "authz",
      typed_config: {
        "@type": `${type}.filters.http.ext_authz.v3.ExtAuthz`,
        transport_api_version: "V3",
        ...service,
      },
    },
    { name: "router", typed_config: { "@type": `${type}.filters.http.router.v3.Router` } },
  ];
  const route = { match: { prefix: "/" }, route: { cluster: "app" } };
  const manager = {
    "@type": `${type}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: "t",
    codec_type: "AUTO",
    normalize_path: true,
    forward_client_cert_details: "SANITIZE_SET",
    set_current_client_cert_details: { uri: true },
    route_config: { virtual_hosts: [{ name: "all", domains: ["*"], routes: [route] }] },
    http_filters: filters,
  };
  const tls = {
    "@type": `${type}.transport_sockets.tls.v3.DownstreamTlsContext`,
    require_client_certificate: true,
    common_tls_context: {
      tls_certificates: [{ certificate_chain: file("ledger.pem"), private_key: file("ledger.key") }],
      validation_context: { trusted_ca: file("roots.pem") },
    },
  };
  const chain = {
    filters: [{ name: "http", typed_config: manager }],
    transport_socket: { name: "tls", typed_config: tls },
  };
  const clusters = [clusterAt("app", appPort), clusterAt("authz", authz, by === "grpc" ? "http2" : "http1")];
  return {
    static_resources: {
      listeners: [{ name: "l", address: socketAddress(listen), filter_chains: [chain] }],
      clusters,
    },
  };
}

function file(name: string): object {
  return { filename: join(directory, name) };
}
