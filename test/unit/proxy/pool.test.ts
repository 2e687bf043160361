import { describe, expect, it } from "vitest";
import { CardeaError } from "../../../src/core/errors.ts";
import { LIMITS } from "../../../src/core/limits.ts";
import { parseSpiffeId } from "../../../src/core/spiffe-id.ts";
import { NO_TLS } from "../../../src/observe/flow.ts";
import { type ChannelWaiter, Pools, type TargetPool } from "../../../src/proxy/pool.ts";
import type { Channel, HttpProtocol } from "../../../src/proxy/streams.ts";
import { appTarget, type Target, workloadTarget } from "../../../src/proxy/target.ts";

const TARGET = appTarget(8080, { host: "127.0.0.1", port: 1 }, { speaks: "http/1.1", from: null });

const PEER = workloadTarget(
  { address: "127.0.0.1", port: 15_006, containerPort: 8080 },
  { spiffeId: parseSpiffeId("spiffe://cluster.local/ns/shop/sa/orders"), sni: "outbound_.80_._.orders", alpn: [] },
);

describe("a pool", () => {
  it("lends a freed channel again, the newest first", async () => {
    const { pool, opened } = setUp();
    const [a, b] = [waiter(), waiter()];
    pool.acquire(a, "any");
    pool.acquire(b, "any");
    await settle();
    expect(opened).toHaveLength(2);
    pool.onFree(opened[0]!);
    pool.onFree(opened[1]!);
    const c = waiter();
    pool.acquire(c, "any");
    expect(c.channel).toBe(opened[1]);
  });

  it("serves who waits longest, by whichever channel is there first", async () => {
    const { pool, opened, hold } = setUp();
    const [a, b, c] = [waiter(), waiter(), waiter()];
    pool.acquire(a, "any");
    await settle();
    hold();
    pool.acquire(b, "any");
    pool.acquire(c, "any");
    pool.onFree(opened[0]!);
    expect(b.channel).toBe(opened[0]);
    expect(c.channel).toBeNull();
  });

  it("lends no channel that has retired", async () => {
    const { pool, opened } = setUp();
    const a = waiter();
    pool.acquire(a, "any");
    await settle();
    pool.onFree(opened[0]!);
    opened[0]!.isFree = false;
    const b = waiter();
    pool.acquire(b, "any");
    await settle();
    expect(b.channel).toBe(opened[1]);
  });

  it("opens a new channel where a used one will not do", async () => {
    const { pool, opened } = setUp();
    const a = waiter();
    pool.acquire(a, "any");
    await settle();
    pool.onFree(opened[0]!);
    const b = waiter();
    pool.acquire(b, "fresh");
    await settle();
    expect(b.channel).toBe(opened[1]);
  });

  it("tells one waiter for each failed attempt", async () => {
    const { pool, fail } = setUp();
    fail();
    const [a, b] = [waiter(), waiter()];
    pool.acquire(a, "any");
    pool.acquire(b, "any");
    await settle();
    expect([a.error?.code, b.error?.code]).toEqual(["upstream-connect-failed", "upstream-connect-failed"]);
  });

  it("gives nothing to who has given up", async () => {
    const { pool, opened } = setUp();
    const a = waiter();
    pool.acquire(a, "any");
    pool.release(a);
    await settle();
    expect(a.channel).toBeNull();
    const b = waiter();
    pool.acquire(b, "any");
    expect(b.channel).toBe(opened[0]);
  });

  it("refuses one waiter too many, and opens no connection too many", async () => {
    const { pool, opened } = setUp();
    const waiters = Array.from({ length: LIMITS.upstreamConnectionsMax + LIMITS.pendingRequestsMax + 1 }, waiter);
    for (const each of waiters.slice(0, LIMITS.upstreamConnectionsMax)) pool.acquire(each, "any");
    await settle();
    for (const each of waiters.slice(LIMITS.upstreamConnectionsMax)) pool.acquire(each, "any");
    await settle();
    expect(opened).toHaveLength(LIMITS.upstreamConnectionsMax);
    expect(waiters.at(-1)!.error?.code).toBe("overloaded");
    expect(waiters.filter((each) => each.error !== null)).toHaveLength(1);
  });

  it("opens another for those who wait when a channel goes", async () => {
    const { pool, opened } = setUp();
    const holders = Array.from({ length: LIMITS.upstreamConnectionsMax }, waiter);
    for (const each of holders) pool.acquire(each, "any");
    await settle();
    const late = waiter();
    pool.acquire(late, "any");
    pool.onGone(opened[0]!);
    await settle();
    expect(late.channel).toBe(opened.at(-1));
  });

  it("is forgotten when nothing of it is left, and counts what is under way until then", async () => {
    const { pools, pool, opened } = setUp();
    const a = waiter();
    pool.acquire(a, "any");
    expect(pools.activeTo(TARGET)).toBe(1);
    await settle();
    pool.onGone(opened[0]!);
    pool.release(a);
    expect(pools.activeTo(TARGET)).toBe(0);
    expect(pools.poolFor(TARGET)).not.toBe(pool);
  });
});

describe("a pool towards another sidecar", () => {
  it("lets all wait for the first connection, and share it when it speaks HTTP/2", async () => {
    const { pool, opened } = setUp(PEER, "h2");
    const waiters = Array.from({ length: 50 }, waiter);
    for (const each of waiters) pool.acquire(each, "any");
    await settle();
    expect(opened).toHaveLength(1);
    expect(waiters.every((each) => each.channel === opened[0])).toBe(true);
  });

  it("opens one for each request when the first speaks HTTP/1.1, and at once from then on", async () => {
    const { pool, opened } = setUp(PEER, "http/1.1");
    const waiters = Array.from({ length: 5 }, waiter);
    for (const each of waiters) pool.acquire(each, "any");
    await settle();
    expect(opened).toHaveLength(5);
    expect(new Set(waiters.map((each) => each.channel)).size).toBe(5);
    for (const each of [waiter(), waiter()]) pool.acquire(each, "any");
    await settle();
    expect(opened).toHaveLength(7);
  });

  it("tells all who waited when the first connection fails", async () => {
    const { pool, fail } = setUp(PEER, "h2");
    fail();
    const waiters = [waiter(), waiter(), waiter()];
    for (const each of waiters) pool.acquire(each, "any");
    pool.acquire(waiters[2]!, "upgrade");
    await settle();
    expect(waiters.map((each) => each.error?.code)).toEqual(waiters.map(() => "upstream-connect-failed"));
  });

  it("opens another when the streams of the first are used up, one for all who wait", async () => {
    const { pool, opened } = setUp(PEER, "h2");
    pool.acquire(waiter(), "any");
    await settle();
    opened[0]!.isFree = false;
    const waiters = [waiter(), waiter(), waiter()];
    for (const each of waiters) pool.acquire(each, "any");
    await settle();
    expect(opened).toHaveLength(2);
    expect(waiters.every((each) => each.channel === opened[1])).toBe(true);
  });

  it("serves who waits by a stream that has become free", async () => {
    const { pool, opened, hold } = setUp(PEER, "h2");
    pool.acquire(waiter(), "any");
    await settle();
    opened[0]!.isFree = false;
    hold();
    const late = waiter();
    pool.acquire(late, "any");
    opened[0]!.isFree = true;
    pool.onFree(opened[0]!);
    expect(late.channel).toBe(opened[0]);
  });

  it("goes on by a crowded connection while another is opened, and then prefers that", async () => {
    const { pool, opened } = setUp(PEER, "h2");
    pool.acquire(waiter(), "any");
    await settle();
    opened[0]!.isCrowded = true;
    const [now, later] = [waiter(), waiter()];
    pool.acquire(now, "any");
    expect(now.channel).toBe(opened[0]);
    await settle();
    expect(opened).toHaveLength(2);
    pool.acquire(later, "any");
    expect(later.channel).toBe(opened[1]);
  });

  it("opens no more than so many for the sake of crowding, then lends the one with the least to do", async () => {
    const { pool, opened } = setUp(PEER, "h2");
    for (let i = 0; i < 20; i++) {
      pool.acquire(waiter(), "any");
      await settle();
      opened.forEach((channel, place) => {
        channel.isCrowded = true;
        channel.requestCount = 10 - place;
      });
    }
    expect(opened).toHaveLength(LIMITS.http2ConnectionsMax);
    const last = waiter();
    pool.acquire(last, "any");
    expect(last.channel).toBe(opened.at(-1));
  });

  it("keeps a path that had a long body away from the first connection, and no other path", async () => {
    const { pool, opened } = setUp(PEER, "h2");
    const first = { ...waiter(), path: "/export" };
    pool.acquire(first, "any");
    await settle();
    pool.release({ ...first, bytesReceived: 0, bytesSent: LIMITS.http2LongBodyBytesMin });
    const [meanwhile, long, small] = ["/export", "/export", "/item"].map((path) => ({ ...waiter(), path }));
    pool.acquire(meanwhile!, "any");
    expect(meanwhile!.channel).toBe(opened[0]);
    await settle();
    expect(opened).toHaveLength(2);
    pool.acquire(long!, "any");
    pool.acquire(small!, "any");
    expect(long!.channel).toBe(opened[1]);
    expect(small!.channel).toBe(opened[0]);
  });

  it("opens nothing for a path whose body was short", async () => {
    const { pool, opened } = setUp(PEER, "h2");
    const first = { ...waiter(), path: "/item" };
    pool.acquire(first, "any");
    await settle();
    pool.release({ ...first, bytesReceived: 0, bytesSent: LIMITS.http2LongBodyBytesMin - 1 });
    pool.acquire({ ...waiter(), path: "/item" }, "any");
    await settle();
    expect(opened).toHaveLength(1);
  });

  it("sends long bodies to the connection with the least to do, the first left out", async () => {
    const { pool, opened } = setUp(PEER, "h2");
    const first = { ...waiter(), path: "/export" };
    pool.acquire(first, "any");
    await settle();
    for (let i = 0; i < 2; i++) {
      opened.forEach((channel) => (channel.isCrowded = true));
      pool.acquire(waiter(), "any");
      await settle();
    }
    pool.release({ ...first, bytesReceived: LIMITS.http2LongBodyBytesMin, bytesSent: 0 });
    opened.forEach((channel, place) => (channel.requestCount = [0, 2, 1][place]!));
    const long = { ...waiter(), path: "/export" };
    pool.acquire(long, "any");
    expect(long.channel).toBe(opened[2]);
  });

  it("does not try again and again to open what nobody waits for", async () => {
    const { pool, opened, attempts, fail } = setUp(PEER, "h2");
    pool.acquire(waiter(), "any");
    await settle();
    opened[0]!.isCrowded = true;
    fail();
    for (let i = 0; i < 5; i++) {
      const each = waiter();
      pool.acquire(each, "any");
      await settle();
      expect(each.channel).toBe(opened[0]);
    }
    expect(attempts).toHaveLength(2);
  });

  it("lets an upgrade wait until the peer has said whether it takes any", async () => {
    const { pool, opened } = setUp(PEER, "h2", "unknown");
    const upgrade = waiter();
    pool.acquire(upgrade, "upgrade");
    await settle();
    expect(opened).toHaveLength(1);
    expect(upgrade.channel).toBeNull();
    opened[0]!.upgrades = "yes";
    pool.onKnown(opened[0]!);
    expect(upgrade.channel).toBe(opened[0]);
  });

  it("takes upgrades over HTTP/1.1 when the peer takes none over HTTP/2, and all else over HTTP/2", async () => {
    const { pool, opened, attempts } = setUp(PEER, "h2", "no");
    const [plain, upgrade, next, more] = [waiter(), waiter(), waiter(), waiter()];
    pool.acquire(plain, "any");
    pool.acquire(upgrade, "upgrade");
    await settle();
    expect(attempts).toEqual([null, ["istio-http/1.1", "http/1.1"]]);
    expect(plain.channel).toBe(opened[0]);
    expect(upgrade.channel).toBe(opened[1]);
    pool.onFree(opened[1]!);
    pool.acquire(next, "any");
    expect(next.channel).toBe(opened[0]);
    pool.acquire(more, "upgrade");
    expect(more.channel).toBe(opened[1]);
  });

  it("follows a peer that has lost its HTTP/2", async () => {
    const { pool, opened, speak } = setUp(PEER, "h2");
    pool.acquire(waiter(), "any");
    await settle();
    speak("http/1.1");
    pool.onGone(opened[0]!);
    const waiters = [waiter(), waiter(), waiter()];
    for (const each of waiters) pool.acquire(each, "any");
    await settle();
    expect(new Set(waiters.map((each) => each.channel)).size).toBe(3);
  });
});

type TestChannel = { -readonly [Name in keyof Channel]: Channel[Name] };

function setUp(target: Target = TARGET, protocol: HttpProtocol = "http/1.1", upgrades: Channel["upgrades"] = "yes") {
  const attempts: (readonly string[] | null)[] = [];
  let spoken = protocol;
  const opened: TestChannel[] = [];
  let isFailing = false;
  let isHeld = false;
  const pools = new Pools(async (_target, _pool, offer) => {
    attempts.push(offer);
    if (isFailing) throw new CardeaError("upstream-connect-failed", "nobody there");
    if (isHeld) await new Promise(() => {});
    const channel: TestChannel = {
      protocol: offer === null ? spoken : "http/1.1",
      isFree: true,
      isCrowded: false,
      requestCount: 0,
      upgrades,
      tls: NO_TLS,
      localPort: 0,
      send: () => expect.fail("nothing is sent"),
    };
    opened.push(channel);
    return channel;
  });
  const pool: TargetPool = pools.poolFor(target);
  const speak = (next: HttpProtocol) => (spoken = next);
  return { pools, pool, opened, attempts, speak, fail: () => (isFailing = true), hold: () => (isHeld = true) };
}

function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

interface TestWaiter extends ChannelWaiter {
  channel: Channel | null;
  error: CardeaError | null;
}

function waiter(): TestWaiter {
  return {
    channel: null,
    error: null,
    onChannel(channel) {
      this.channel = channel;
    },
    onNoChannel(error) {
      this.error = error;
    },
  };
}
