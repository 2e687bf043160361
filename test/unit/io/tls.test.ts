import { randomBytes } from "node:crypto";
import net from "node:net";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import type { Connection, SecureConnection, TlsClientOptions } from "../../../src/core/ports.ts";
import { createSocketNetwork } from "../../../src/io/sockets.ts";
import { verifyPeerChain } from "../../../src/pki/verify.ts";
import { collect } from "../../support/collected.ts";
import { createTestAuthority, shopId } from "../../support/test-authority.ts";

let network = createSocketNetwork();
const authority = createTestAuthority();
const web = authority.issue(shopId("web"));
const orders = authority.issue(shopId("orders"));
const clientContext = network.createTlsContext(web.material);
const serverContext = network.createTlsContext(orders.material);
const SNI = "outbound_.80_._.orders.shop.svc.cluster.local";
const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

describe.each([true, false])("tls, read into one buffer: %s", (sharesReads) => {
  beforeAll(() => {
    network = createSocketNetwork({ sharesReads });
  });

  it("keeps whole what came in several records before anybody took it", async () => {
    const { client, server } = await openSecurePair();
    const body = randomBytes(60_000);
    client.write(body);
    await vi.waitUntil(() => client.unsentBytes === 0, 10_000);
    await new Promise((resolve) => setImmediate(resolve));
    client.end();
    server.resume();
    const far = collect(server);
    server.resume();
    await far.ended;
    expect(Buffer.concat(far.chunks).equals(body)).toBe(true);
  });

  it("lends what it reads to who keeps nothing of it", async () => {
    const { client, server } = await openSecurePair();
    const lent: Buffer[] = [];
    const take = (chunk: Buffer) => void lent.push(chunk);
    server.setHandlers({ takesLent: true, onData: take, onEnd() {}, onDrain() {}, onClose() {} });
    for (const word of ["one", "two"]) {
      const before = lent.length;
      client.write(Buffer.from(word));
      await vi.waitUntil(() => lent.length > before, 10_000);
      expect(String(lent.at(-1))).toBe(word);
    }
    expect(lent.map(String)).toEqual(sharesReads ? ["two", "two"] : ["one", "two"]);
  });

  it("tells both sides what was agreed, with the whole chain of the peer", async () => {
    const { client, server } = await openSecurePair();
    expect(server.tls).toMatchObject({ alpn: "http/1.1", sni: SNI, version: "TLSv1.3" });
    expect(client.tls).toMatchObject({ alpn: "http/1.1", version: "TLSv1.3", group: "X25519MLKEM768" });
    expect(server.tls.peerChain).toEqual(web.chainDer);
    expect(client.tls.peerChain).toEqual(orders.chainDer);
    expect(verifyPeerChain(server.tls.peerChain, orders.bundles, Date.now()).spiffeId).toBe(web.spiffeId);
    expect(verifyPeerChain(client.tls.peerChain, web.bundles, Date.now()).spiffeId).toBe(orders.spiffeId);
  });

  it("carries bytes both ways, after either side has half-closed", async () => {
    const { client, server } = await openSecurePair();
    const near = collect(client);
    const far = collect(server);
    const body = randomBytes(300_000);
    near.connection.write(body);
    near.connection.end();
    await far.ended;
    expect(Buffer.concat(far.chunks).equals(body)).toBe(true);
    far.connection.write(Buffer.from("late answer"));
    far.connection.end();
    await near.closed;
    expect(near.text()).toBe("late answer");
  });

  it("lets no cut stream look like a finished one", async () => {
    const { client, server } = await openSecurePair();
    const near = collect(client);
    collect(server).connection.destroy({ reset: true });
    await near.closed;
    expect(near.error?.code).toBe("upstream-reset");
  });

  it("hands out a peer without certificate, for identify to refuse", async () => {
    const context = network.createTlsContext({ ...web.material, chainPem: "", keyPem: "" });
    const { server } = await openSecurePair({ context });
    expect(server.tls.peerChain).toEqual([]);
  });

  it("hands out a stranger's chain, for identify to refuse", async () => {
    const stranger = createTestAuthority().issue(shopId("web"));
    const { server } = await openSecurePair({ context: network.createTlsContext(stranger.material) });
    expect(server.tls.peerChain).toHaveLength(2);
    expect(() => verifyPeerChain(server.tls.peerChain, orders.bundles, Date.now())).toThrow(/no chain/);
  });

  it("refuses protocols that the server does not choose", async () => {
    const { clientDone, serverDone } = await shakeHands({ alpn: ["spdy/3"] });
    await expect(clientDone).rejects.toMatchObject({ code: "tls-handshake-failed" });
    await expect(serverDone).rejects.toMatchObject({ code: "tls-handshake-failed" });
  });

  it.each([
    ["what is no TLS", Buffer.from("GET / HTTP/1.1\r\n\r\n")],
    ["a broken handshake", Buffer.from([0x16, 3, 1, 0, 5, 1, 2, 3, 4, 5])],
  ])("refuses %s", async (_name, bytes) => {
    const { socket, serverDone } = await serveRaw();
    socket.write(bytes);
    await expect(serverDone).rejects.toMatchObject({ code: "tls-handshake-failed" });
  });

  it("ends a handshake that takes too long", async () => {
    const { socket, serverDone } = await serveRaw(300);
    socket.write(Buffer.from([0x16, 3, 1, 2, 0]));
    await expect(serverDone).rejects.toMatchObject({ code: "tls-handshake-failed" });
  });

  it("ends with a peer that hangs up in the handshake", async () => {
    const { socket, serverDone } = await serveRaw();
    socket.write(Buffer.from([0x16, 3, 1, 2, 0]), () => socket.resetAndDestroy());
    await expect(serverDone).rejects.toMatchObject({ code: "tls-handshake-failed" });
  });

  it("refuses a key that does not belong to the certificate", () => {
    const mixed = { ...web.material, keyPem: orders.material.keyPem };
    expect(() => network.createTlsContext(mixed)).toThrow(expect.objectContaining({ code: "bad-input" }));
  });
});

async function openSecurePair(options: Partial<TlsClientOptions> = {}) {
  const { clientDone, serverDone } = await shakeHands(options);
  const [client, server] = await Promise.all([clientDone, serverDone]);
  cleanups.push(
    () => client.destroy(),
    () => server.destroy(),
  );
  return { client, server };
}

async function shakeHands(options: Partial<TlsClientOptions>) {
  const { port, serverDone } = await listenSecure();
  const dialled = await network.dial({ host: "127.0.0.1", port }, { timeoutMs: 1_000 });
  const clientDone = network.startTls(dialled, {
    context: clientContext,
    handshakeTimeoutMs: 2_000,
    alpn: ["http/1.1"],
    sni: SNI,
    ...options,
  });
  clientDone.catch(() => {});
  return { clientDone, serverDone };
}

async function serveRaw(handshakeTimeoutMs?: number) {
  const { port, serverDone } = await listenSecure(handshakeTimeoutMs);
  const socket = net.connect(port, "127.0.0.1").on("error", () => {});
  cleanups.push(() => socket.destroy());
  return { socket, serverDone };
}

/** Reads the first bytes as accept does, then begins TLS with them. */
async function listenSecure(handshakeTimeoutMs = 10_000) {
  const secured = Promise.withResolvers<SecureConnection>();
  secured.promise.catch(() => {});
  const listening = await network.listen({ host: "127.0.0.1", port: 0 }, (connection) => {
    const onData = (head: Buffer) =>
      void serve(connection, head, handshakeTimeoutMs).then(secured.resolve, secured.reject);
    connection.setHandlers({ onData, onEnd: () => {}, onDrain: () => {}, onClose: () => {} });
  });
  cleanups.push(() => listening.close());
  return { port: listening.address.port, serverDone: secured.promise };
}

function serve(connection: Connection, head: Buffer, handshakeTimeoutMs: number): Promise<SecureConnection> {
  return network.serveTls(connection, head, { context: serverContext, handshakeTimeoutMs, chooseAlpn });
}

function chooseAlpn(offered: readonly string[]): string | null {
  return offered.includes("http/1.1") ? "http/1.1" : null;
}
