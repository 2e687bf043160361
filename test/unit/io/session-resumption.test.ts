import { once } from "node:events";
import type { AddressInfo } from "node:net";
import tls from "node:tls";
import { afterEach, expect, it } from "vitest";
import type { TlsListenerOptions } from "../../../src/core/grpc-tls.ts";
import { createLatest } from "../../../src/core/latest.ts";
import { createSocketNetwork } from "../../../src/io/sockets.ts";
import { listenTls } from "../../../src/io/tls-listener.ts";
import { createTestAuthority, shopId } from "../../support/test-authority.ts";

// OpenSSL hands out tickets even so. A peer that comes back with one has to prove again who it is.

const authority = createTestAuthority();
const web = authority.issue(shopId("web"));
const orders = authority.issue(shopId("orders"));
const LOOPBACK = { host: "127.0.0.1", port: 0 };
const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

it("a sidecar takes up no session of before: the peer shows its whole chain again", async () => {
  const network = createSocketNetwork();
  const context = network.createTlsContext(orders.material);
  const chains: (readonly Buffer[])[] = [];
  const listening = await network.listen(LOOPBACK, (connection) => {
    const serve = async (head: Buffer) => {
      const secure = await network.serveTls(connection, head, { context, handshakeTimeoutMs: 2_000, chooseAlpn });
      chains.push(secure.tls.peerChain);
      secure.write(Buffer.from("served"));
    };
    connection.setHandlers({ onData: (head) => void serve(head), onEnd() {}, onDrain() {}, onClose() {} });
  });
  cleanups.push(() => listening.close());
  expect(await comeBack(listening.address.port)).toEqual([false, false]);
  expect(chains).toEqual([web.chainDer, web.chainDer]);
});

it("nor does the control plane", async () => {
  const chains: (readonly Buffer[])[] = [];
  const onConnection: TlsListenerOptions["onConnection"] = (socket, peerChain) => {
    chains.push(peerChain);
    socket.write("served");
  };
  const material = createLatest(orders.material);
  const limits = { handshakeTimeoutMs: 2_000, connectionsMax: 9, alpn: "h2" };
  const listening = await listenTls({ ...limits, listen: LOOPBACK, material, onConnection, onHandshakeFailed() {} });
  cleanups.push(() => listening.close());
  expect(await comeBack(listening.address.port)).toEqual([false, false]);
  expect(chains).toEqual([web.chainDer, web.chainDer]);
});

it("the same client resumes where a server lets it, and shows no whole chain then", async () => {
  const chainLengths: number[] = [];
  const material = { cert: orders.material.chainPem, key: orders.material.keyPem };
  const server = tls.createServer({ ...material, requestCert: true, rejectUnauthorized: false, ALPNProtocols: ["h2"] });
  server.on("secureConnection", (socket) => {
    let length = 0;
    for (let next = socket.getPeerX509Certificate(); next !== undefined; next = next.issuerCertificate) length++;
    chainLengths.push(length);
    socket.write("served");
  });
  server.listen(LOOPBACK);
  await once(server, "listening");
  cleanups.push(() => server.close());
  expect(await comeBack((server.address() as AddressInfo).port)).toEqual([false, true]);
  expect(chainLengths).toEqual([2, 1]);
});

/** Connects, and once more with the last session that it was given. Says of both whether the session was resumed. */
async function comeBack(port: number): Promise<readonly boolean[]> {
  const first = await connect(port);
  expect(first.session).toBeInstanceOf(Buffer);
  const second = await connect(port, first.session);
  return [first.isResumed, second.isResumed];
}

interface Visit {
  readonly isResumed: boolean;
  readonly session: Buffer | undefined;
}

/** By "data" the tickets have come, which stand before it. */
async function connect(port: number, session?: Buffer): Promise<Visit> {
  const material = { cert: web.material.chainPem, key: web.material.keyPem };
  const socket = tls.connect({
    ...LOOPBACK,
    port,
    ...material,
    session,
    rejectUnauthorized: false,
    ALPNProtocols: ["h2"],
  });
  cleanups.push(() => socket.destroy());
  let last: Buffer | undefined;
  socket.on("session", (given) => {
    last = given;
  });
  await once(socket, "data");
  return { isResumed: socket.isSessionReused(), session: last };
}

function chooseAlpn(offered: readonly string[]): string | null {
  return offered[0] ?? null;
}
