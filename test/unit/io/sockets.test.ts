import { randomBytes } from "node:crypto";
import net from "node:net";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import type { CardeaError } from "../../../src/core/errors.ts";
import { LIMITS } from "../../../src/core/limits.ts";
import type { Connection, Listening } from "../../../src/core/ports.ts";
import { createSocketNetwork } from "../../../src/io/sockets.ts";
import { collect } from "../../support/collected.ts";

let network = createSocketNetwork();
const LOOPBACK = { host: "127.0.0.1", port: 0 };
const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

describe.each([true, false])("sockets, read into one buffer: %s", (sharesReads) => {
  beforeAll(() => {
    network = createSocketNetwork({ sharesReads });
  });

  it("keep in order what came before they had a reader, and while they were paused", async () => {
    const accepted = Promise.withResolvers<Connection>();
    const listening = await listen((connection) => accepted.resolve(connection));
    const caller = net.connect(listening.address.port, LOOPBACK.host);
    cleanups.push(() => caller.destroy());
    const sent = randomBytes(5_000_000);
    caller.end(sent);
    const connection = await accepted.promise;
    connection.pause();
    // Its Readable fills.
    await crossOver();
    const far = collect(connection);
    await crossOver();
    expect(far.bytes).toBe(0);
    connection.resume();
    await far.ended;
    expect(Buffer.concat(far.chunks).equals(sent)).toBe(true);
  });

  it("lend what they read to who keeps nothing of it, and give it to all others", async () => {
    const { near, far } = await openPair();
    const lent: Buffer[] = [];
    const take = (chunk: Buffer) => void lent.push(chunk);
    far.connection.setHandlers({ takesLent: true, onData: take, onEnd() {}, onDrain() {}, onClose() {} });
    for (const word of ["one", "two"]) {
      const before = lent.length;
      near.connection.write(Buffer.from(word));
      await vi.waitUntil(() => lent.length > before, 10_000);
      expect(String(lent.at(-1))).toBe(word);
    }
    expect(lent.map(String)).toEqual(sharesReads ? ["two", "two"] : ["one", "two"]);
  });

  it("deliver what was sent both ways, after either side has half-closed", async () => {
    const { near, far } = await openPair();
    near.connection.write(Buffer.from("question"));
    near.connection.end();
    await far.ended;
    expect(far.text()).toBe("question");
    far.connection.write(Buffer.from("late answer"));
    far.connection.end();
    await near.closed;
    expect(near.text()).toBe("late answer");
    expect(near.error).toBeUndefined();
    expect(near.connection.bytesReceived).toBe(11);
    expect(near.connection.bytesSent).toBe(8);
  });

  it("send what is written within a turn as one piece", async () => {
    const { near, far } = await openPair();
    for (const word of ["one ", "write ", "a ", "turn"]) near.connection.write(Buffer.from(word));
    near.connection.end();
    await far.ended;
    expect(far.chunks.map(String)).toEqual(["one write a turn"]);
  });

  it("keep large and small pieces in order", async () => {
    const { near, far } = await openPair();
    const large = Buffer.alloc(20_000, "L");
    for (const piece of [Buffer.from("a"), large, Buffer.from("b"), Buffer.from("c"), large])
      near.connection.write(piece);
    near.connection.end();
    await far.ended;
    expect(far.text()).toBe(["a", large, "bc", large].join(""));
  });

  it("say when to wait, and when to go on", async () => {
    const { near, far } = await openPair();
    far.connection.pause();
    let written = 0;
    while (near.connection.write(Buffer.alloc(65_536))) {
      written += 65_536;
      expect(written).toBeLessThanOrEqual(LIMITS.writeBacklogBytesMax);
    }
    far.connection.resume();
    await near.drained;
    near.connection.end();
    await far.ended;
    expect(far.bytes).toBe(written + 65_536);
  });

  it("hold back what comes before anybody handles it", async () => {
    const accepted = Promise.withResolvers<Connection>();
    const listening = await listen(accepted.resolve);
    const socket = net.connect(listening.address.port, "127.0.0.1");
    cleanups.push(() => socket.destroy());
    await new Promise((resolve) => socket.write("early", resolve));
    const connection = await accepted.promise;
    socket.end();
    const far = collect(connection);
    await far.ended;
    expect(far.text()).toBe("early");
  });

  it("tell a reset from an end", async () => {
    const { near, far } = await openPair();
    near.connection.destroy({ reset: true });
    await far.closed;
    expect(far.error?.code).toBe("downstream-reset");
  });

  it("do not send what was written before destroy", async () => {
    const { near, far } = await openPair();
    near.connection.write(Buffer.from("never"));
    near.connection.destroy();
    await far.ended;
    expect(far.bytes).toBe(0);
  });

  it("refuse a port that is taken, and free it on close", async () => {
    const first = await listen(() => {});
    await expect(network.listen(first.address, () => {})).rejects.toMatchObject({ code: "unreachable" });
    await first.close();
    const second = await network.listen(first.address, () => {});
    expect(second.address).toEqual(first.address);
    await second.close();
  });

  it("refuse to dial where nobody listens", async () => {
    const listening = await listen(() => {});
    await listening.close();
    await expect(network.dial(listening.address, { timeoutMs: 1_000 })).rejects.toMatchObject({
      code: "upstream-connect-failed",
    });
  });

  it("give up dialling at a signal", async () => {
    const abort = new AbortController();
    const dialled = network.dial({ host: "127.0.0.1", port: 9 }, { timeoutMs: 1_000, signal: abort.signal });
    abort.abort();
    await expect(dialled).rejects.toMatchObject({ code: "upstream-connect-failed" } satisfies Partial<CardeaError>);
    await expect(
      network.dial({ host: "127.0.0.1", port: 9 }, { timeoutMs: 1_000, signal: abort.signal }),
    ).rejects.toMatchObject({ code: "upstream-connect-failed" });
  });
});

describe.each([
  ["as plain", true],
  ["for TLS to be laid over it", false],
])("a connection that was dialled %s", (_, isPlain) => {
  it("holds back what comes before anybody handles it, and then reads on to the end", async () => {
    const { dialled, far } = await dialInto(isPlain);
    await new Promise((resolve) => far.write("early ", resolve));
    // Long enough for a reader that reads ahead to have read ahead: another round trip of the event loop's.
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    far.end("and late");
    const near = collect(dialled);
    await near.ended;
    expect(near.text()).toBe("early and late");
    expect(near.connection.bytesReceived).toBe(14);
  });

  it("delivers nothing while it is paused, and all of it afterwards", async () => {
    const { dialled, far } = await dialInto(isPlain);
    const near = collect(dialled);
    dialled.pause();
    await new Promise((resolve) => far.end("x".repeat(300_000), () => resolve(null)));
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    expect(near.bytes).toBe(0);
    dialled.resume();
    await near.ended;
    expect(near.bytes).toBe(300_000);
  });

  it("pauses in the middle of what it is handed", async () => {
    const { dialled, far } = await dialInto(isPlain);
    let pieces = 0;
    const second = Promise.withResolvers<void>();
    dialled.setHandlers({
      onData: () => {
        dialled.pause();
        if (++pieces === 2) second.resolve();
      },
      onEnd: () => {},
      onDrain: () => {},
      onClose: () => {},
    });
    await new Promise((resolve) => far.write(Buffer.alloc(1_000_000), resolve));
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    expect(pieces).toBe(1);
    dialled.resume();
    await second.promise;
    expect(pieces).toBe(2);
  });

  it("hands out bytes that nobody writes over", async () => {
    const one = await dialInto(isPlain);
    const other = await dialInto(isPlain);
    const [first, second] = [collect(one.dialled), collect(other.dialled)];
    for (let i = 0; i < 50; i++) {
      await Promise.all([
        new Promise((resolve) => one.far.write("a".repeat(1_000), resolve)),
        new Promise((resolve) => other.far.write("b".repeat(1_000), resolve)),
      ]);
    }
    one.far.end();
    other.far.end();
    await Promise.all([first.ended, second.ended]);
    expect(first.text()).toBe("a".repeat(50_000));
    expect(second.text()).toBe("b".repeat(50_000));
  });

  it("is told of a reset", async () => {
    const { dialled, far } = await dialInto(isPlain);
    const near = collect(dialled);
    far.resetAndDestroy();
    await near.closed;
    expect(near.error?.code).toBe("upstream-reset");
  });
});

/** A dialled connection that nobody handles yet, and the socket at its other end. */
async function dialInto(isPlain: boolean): Promise<{ readonly dialled: Connection; readonly far: net.Socket }> {
  const accepted = Promise.withResolvers<net.Socket>();
  const server = net.createServer({ allowHalfOpen: true }, accepted.resolve).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as net.AddressInfo;
  const dialled = await network.dial({ host: "127.0.0.1", port }, { timeoutMs: 1_000, isPlain });
  const far = await accepted.promise;
  far.on("error", () => {});
  cleanups.push(
    () => dialled.destroy(),
    () => far.destroy(),
    () => server.close(),
  );
  return { dialled, far };
}

async function listen(onConnection: (connection: Connection) => void): Promise<Listening> {
  const listening = await network.listen(LOOPBACK, onConnection);
  cleanups.push(() => listening.close());
  return listening;
}

/** By the time that another connection has carried something, what lay before every socket has been read, if anybody reads. */
async function crossOver(): Promise<void> {
  const { near, far } = await openPair();
  near.connection.write(Buffer.from("over"));
  near.connection.end();
  await far.ended;
}

async function openPair() {
  const accepted = Promise.withResolvers<Connection>();
  const listening = await listen(accepted.resolve);
  const near = collect(await network.dial(listening.address, { timeoutMs: 1_000 }));
  const far = collect(await accepted.promise);
  cleanups.push(
    () => near.connection.destroy(),
    () => far.connection.destroy(),
  );
  return { near, far };
}
