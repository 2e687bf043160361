import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import tls from "node:tls";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { eventually, startTestMesh, type TestMesh } from "../support/local-mesh.ts";

// Clients that we did not write, on the identity socket of a real sidecar. Each runs where its program is given:
// GO_SPIFFE (test/support/go-spiffe, built), SPIFFE_PYTHON (with the package spiffe), GHOSTUNNEL and ENVOY.

const GO_SPIFFE = process.env["GO_SPIFFE"] ?? "";
const PYTHON = process.env["SPIFFE_PYTHON"] ?? "";
const GHOSTUNNEL = process.env["GHOSTUNNEL"] ?? "";
const ENVOY = process.env["ENVOY"] ?? "";

let mesh: TestMesh;
let directory: string;
const children: ChildProcess[] = [];

beforeAll(async () => {
  mesh = await startTestMesh();
  directory = mkdtempSync(join(tmpdir(), "cardea-clients-"));
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  }
});
afterAll(async () => {
  rmSync(directory, { recursive: true, force: true });
  await mesh.close();
});

function socketOf(service: string): string {
  return `unix://${join(mesh.state, "sockets", `${mesh.service(service).namespace}.${service}.sock`)}`;
}

function start(program: string, words: readonly string[], service = "web"): ChildProcess {
  const env = { ...process.env, SPIFFE_ENDPOINT_SOCKET: socketOf(service) };
  const child = spawn(program, words, { env, stdio: ["pipe", "pipe", "pipe"] });
  children.push(child);
  return child;
}

function renew(service: string): void {
  process.kill(mesh.service(service).sidecar!.pid, "SIGUSR2");
}

/** The events of a client that tells them as lines of JSON; what else it says goes into the failure. */
function eventsOf(child: ChildProcess): () => Promise<Record<string, unknown>> {
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  let said = "";
  child.stderr!.on("data", (piece: Buffer) => (said += piece));
  return async () => {
    const { value, done } = await lines.next();
    if (done === true) throw new Error(`the client ended: ${said}`);
    return JSON.parse(value) as Record<string, unknown>;
  };
}

describe.skipIf(GO_SPIFFE === "")("go-spiffe (needs GO_SPIFFE, the program of test/support/go-spiffe)", () => {
  test("fetches, verifies and follows the identity, and has tokens verified both ways", async () => {
    const next = eventsOf(start(GO_SPIFFE, []));
    const id = mesh.service("web").principal;
    expect(await next()).toEqual({ event: "jwt", own: id, theirs: id, refused: true });
    const first = await next();
    expect(first).toMatchObject({ event: "x509", id });
    renew("web");
    const second = await next();
    expect(second).toMatchObject({ event: "x509", id });
    expect(second["serial"]).not.toBe(first["serial"]);
  });
});

const PY_CLIENT = `
import json, sys
from spiffe import WorkloadApiClient
client = WorkloadApiClient()
svid = client.fetch_x509_svid()
bundles = client.fetch_x509_bundles()
token = client.fetch_jwt_svid(audience={"reports"})
valid = client.validate_jwt_svid(token.token, "reports")
keys = client.fetch_jwt_bundles().get_bundle_for_trust_domain(svid.spiffe_id.trust_domain)
roots = bundles.get_bundle_for_trust_domain(svid.spiffe_id.trust_domain).x509_authorities
print(json.dumps({"id": str(svid.spiffe_id), "chain": len(svid.cert_chain), "roots": len(roots),
  "token": str(valid.spiffe_id), "keys": len(keys.jwt_authorities)}), flush=True)
`;

describe.skipIf(PYTHON === "")("py-spiffe (needs SPIFFE_PYTHON, a Python with the package spiffe)", () => {
  test("fetches certificates, roots, a token and keys", async () => {
    const next = eventsOf(start(PYTHON, ["-c", PY_CLIENT]));
    const id = mesh.service("web").principal;
    expect(await next()).toEqual({ id, chain: 2, roots: 1, token: id, keys: 1 });
  });
});

describe.skipIf(GHOSTUNNEL === "")("Ghostunnel (needs GHOSTUNNEL, its program)", () => {
  test("serves mutual TLS by the identity of the socket, before and after a renewal", async () => {
    const echo = net.createServer((socket) => socket.pipe(socket)).listen(0, "127.0.0.1");
    await once(echo, "listening");
    const [inner, outer] = [await freePort(), await freePort()];
    const { port } = echo.address() as net.AddressInfo;
    const [web, orders] = [mesh.service("web").principal, mesh.service("orders").principal];
    const use = ["--use-workload-api", "--quiet=all"];
    start(GHOSTUNNEL, ["server", ...use, "--listen", at(outer), "--target", at(port), "--allow-uri", web], "orders");
    start(GHOSTUNNEL, ["client", ...use, "--listen", at(inner), "--target", at(outer), "--verify-uri", orders], "web");
    const before = await eventually(() => serialAt(outer));
    expect(await eventually(() => echoed(inner, "hello"))).toBe("hello");
    renew("orders");
    await eventually(async () => {
      const serial = await serialAt(outer);
      return serial !== null && serial !== before;
    });
    expect(await eventually(() => echoed(inner, "again"))).toBe("again");
    echo.close();
  });
});

describe.skipIf(ENVOY === "")("Envoy (needs ENVOY, its program)", () => {
  test.each(["GRPC", "DELTA_GRPC"])("serves mutual TLS by SDS (%s), and changes its certificate", async (api) => {
    const [inner, outer, app] = [await freePort(), await freePort(), await freePort()];
    const echo = net.createServer((socket) => socket.pipe(socket)).listen(app, "127.0.0.1");
    await once(echo, "listening");
    const server = join(directory, `server-${api}.yaml`);
    writeFileSync(server, envoyConfig({ api, socket: socketOf("orders"), listen: outer, target: app, side: "server" }));
    const client = join(directory, `client-${api}.yaml`);
    writeFileSync(client, envoyConfig({ api, socket: socketOf("web"), listen: inner, target: outer, side: "client" }));
    const words = ["--concurrency", "1", "--disable-hot-restart", "-l", "error", "-c"];
    start(ENVOY, [...words, server]);
    start(ENVOY, [...words, client]);
    const before = await eventually(() => serialAt(outer), 30_000);
    expect(await eventually(() => echoed(inner, "hello"), 30_000)).toBe("hello");
    renew("orders");
    await eventually(async () => {
      const serial = await serialAt(outer);
      return serial !== null && serial !== before;
    });
    expect(await eventually(() => echoed(inner, "again"))).toBe("again");
    echo.close();
  });
});

interface EnvoySide {
  readonly api: string;
  readonly socket: string;
  readonly listen: number;
  readonly target: number;
  readonly side: "server" | "client";
}

/** A TCP proxy with mutual TLS on one side, its certificate and roots by SDS from the socket. */
function envoyConfig({ api, socket, listen, target, side }: EnvoySide): string {
  const sds = (name: string): object => ({
    name,
    sds_config: {
      resource_api_version: "V3",
      api_config_source: {
        api_type: api,
        transport_api_version: "V3",
        grpc_services: [{ envoy_grpc: { cluster_name: "identity" } }],
      },
    },
  });
  const common = {
    tls_certificate_sds_secret_configs: [sds("default")],
    validation_context_sds_secret_config: sds("ROOTCA"),
    tls_params: { tls_minimum_protocol_version: "TLSv1_3", tls_maximum_protocol_version: "TLSv1_3" },
  };
  const type = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3";
  const downstream = {
    name: "tls",
    typed_config: {
      "@type": `${type}.DownstreamTlsContext`,
      require_client_certificate: true,
      common_tls_context: common,
    },
  };
  const upstream = { name: "tls", typed_config: { "@type": `${type}.UpstreamTlsContext`, common_tls_context: common } };
  const proxy = {
    name: "tcp",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
      stat_prefix: "t",
      cluster: "target",
    },
  };
  const chain = { filters: [proxy], ...(side === "server" ? { transport_socket: downstream } : {}) };
  const config = {
    node: { id: side, cluster: "test" },
    static_resources: {
      listeners: [{ name: "l", address: address(listen), filter_chains: [chain] }],
      clusters: [
        {
          name: "target",
          type: "STATIC",
          load_assignment: endpoints("target", address(target)),
          ...(side === "client" ? { transport_socket: upstream } : {}),
        },
        {
          name: "identity",
          type: "STATIC",
          typed_extension_protocol_options: {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
              "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
              explicit_http_config: { http2_protocol_options: {} },
            },
          },
          load_assignment: endpoints("identity", { pipe: { path: socket.replace("unix://", "") } }),
        },
      ],
    },
  };
  return JSON.stringify(config);
}

function address(port: number): object {
  return { socket_address: { address: "127.0.0.1", port_value: port } };
}

function endpoints(name: string, at_: object): object {
  return { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address: at_ } }] }] };
}

function at(port: number): string {
  return `127.0.0.1:${port}`;
}

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** What comes back of what is sent, or null. */
function echoed(port: number, text: string): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1", () => socket.write(text));
    socket.setTimeout(2_000, () => socket.destroy());
    let got = "";
    socket.on("data", (piece: Buffer) => {
      got += String(piece);
      if (got.length >= text.length) socket.destroy();
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(got === "" ? null : got));
  });
}

/** The serial number of the certificate that a TLS server shows, or null. */
function serialAt(port: number): Promise<string | null> {
  return new Promise((resolve) => {
    // Without a certificate of ours the server ends it, but has shown its own by then.
    const socket = tls.connect({ port, host: "127.0.0.1", rejectUnauthorized: false }, () => {
      const { serialNumber } = socket.getPeerCertificate();
      socket.destroy();
      resolve(serialNumber ?? null);
    });
    socket.on("error", () => resolve(null));
  });
}
