import http from "node:http";
import net, { type AddressInfo } from "node:net";
import tls from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "../../src/io/clock.ts";
import { createSocketNetwork } from "../../src/io/sockets.ts";
import type { Identity } from "../../src/proxy/identity/identity.ts";
import { runProgram } from "../support/programs.ts";
import { createTestAuthority, shopId } from "../support/test-authority.ts";
import { openTestMesh, type TestMesh } from "../support/test-mesh.ts";

// h2spec cannot present a certificate: a relay does it, and passes every octet as it is to the sidecar's mTLS port.

const h2spec = process.env["H2SPEC"];

let mesh: TestMesh;
let app: http.Server;
let relay: net.Server;

/** An app that reads what it gets before it answers, as the suite has it. */
function answer(request: http.IncomingMessage, response: http.ServerResponse): void {
  request.resume().on("end", () => void response.end("an answer\n"));
}

beforeAll(async () => {
  app = http.createServer(answer);
  await listen(app);
  mesh = await openTestMesh({
    network: createSocketNetwork(),
    clock: systemClock,
    ordersApp: { host: "127.0.0.1", port: portOf(app) },
    ledgerApp: { host: "127.0.0.1", port: 9 },
  });
  relay = openRelay(mesh.authority.issue(shopId("web")), mesh.ordersInbound.port);
  await listen(relay);
});

afterAll(async () => {
  relay.close();
  await mesh.close();
  app.closeAllConnections();
  app.close();
});

describe.skipIf(h2spec === undefined)("h2spec over mutual TLS (skipped where H2SPEC does not name the program)", () => {
  test("finds no failure, as strictly as it can", async () => {
    const result = await runProgram(h2spec!, ["--strict", "-h", "127.0.0.1", "-p", String(portOf(relay)), "-o", "5"]);
    expect(result.stdout).toMatch(/\d{3} tests, (\d{3}) passed, 0 skipped, 0 failed/);
    expect(result.code).toBe(0);
    expect(mesh.orders.flows.some((flow) => flow.verdict === "allowed")).toBe(true);
  });

  test.each(["another authority's certificate", "the certificate of one who may nothing"])(
    "gets nothing from the app with %s",
    async (name) => {
      const isStranger = name.startsWith("another");
      const stranger = createTestAuthority().issue(shopId("web"));
      const other = openRelay(isStranger ? stranger : mesh.authority.issue(shopId("reports")), mesh.ordersInbound.port);
      await listen(other);
      mesh.orders.flows.length = 0;
      await runProgram(h2spec!, ["-h", "127.0.0.1", "-p", String(portOf(other)), "-o", "1", "generic/1", "generic/2"]);
      expect(mesh.orders.flows.length).toBeGreaterThan(0);
      expect(mesh.orders.flows.map(({ verdict }) => verdict)).not.toContain("allowed");
      other.close();
    },
  );
});

function openRelay({ material }: Identity, port: number): net.Server {
  return net.createServer((plain) => {
    const secure = tls.connect({
      host: "127.0.0.1",
      port,
      ALPNProtocols: ["h2"],
      cert: material.chainPem,
      key: material.keyPem,
      // Whether the sidecar turns the relay away is looked at, not the other way round.
      rejectUnauthorized: false,
    });
    plain.on("error", () => secure.destroy()).on("close", () => secure.destroy());
    secure.on("error", () => plain.destroy()).on("close", () => plain.destroySoon());
    plain.pipe(secure).pipe(plain);
  });
}

async function listen(server: net.Server): Promise<void> {
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
}

function portOf(server: net.Server): number {
  return (server.address() as AddressInfo).port;
}
