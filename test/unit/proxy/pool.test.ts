import { describe, expect, it } from "vitest";
import { CardeaError } from "../../../src/core/errors.ts";
import { LIMITS } from "../../../src/core/limits.ts";
import { NO_TLS } from "../../../src/observe/flow.ts";
import { type ChannelWaiter, Pools, type TargetPool } from "../../../src/proxy/pool.ts";
import type { Channel } from "../../../src/proxy/streams.ts";
import { appTarget } from "../../../src/proxy/target.ts";

const TARGET = appTarget(8080, { host: "127.0.0.1", port: 1 });

describe("a pool", () => {
  it("lends a freed channel again, the newest first", async () => {
    const { pool, opened } = setUp();
    const [a, b] = [waiter(), waiter()];
    pool.acquire(a, false);
    pool.acquire(b, false);
    await settle();
    expect(opened).toHaveLength(2);
    pool.onFree(opened[0]!);
    pool.onFree(opened[1]!);
    const c = waiter();
    pool.acquire(c, false);
    expect(c.channel).toBe(opened[1]);
  });

  it("serves who waits longest, by whichever channel is there first", async () => {
    const { pool, opened, hold } = setUp();
    const [a, b, c] = [waiter(), waiter(), waiter()];
    pool.acquire(a, false);
    await settle();
    hold();
    pool.acquire(b, false);
    pool.acquire(c, false);
    pool.onFree(opened[0]!);
    expect(b.channel).toBe(opened[0]);
    expect(c.channel).toBeNull();
  });

  it("lends no channel that has retired", async () => {
    const { pool, opened } = setUp();
    const a = waiter();
    pool.acquire(a, false);
    await settle();
    pool.onFree(opened[0]!);
    opened[0]!.isFree = false;
    const b = waiter();
    pool.acquire(b, false);
    await settle();
    expect(b.channel).toBe(opened[1]);
  });

  it("opens a new channel where a used one will not do", async () => {
    const { pool, opened } = setUp();
    const a = waiter();
    pool.acquire(a, false);
    await settle();
    pool.onFree(opened[0]!);
    const b = waiter();
    pool.acquire(b, true);
    await settle();
    expect(b.channel).toBe(opened[1]);
  });

  it("tells one waiter for each failed attempt", async () => {
    const { pool, fail } = setUp();
    fail();
    const [a, b] = [waiter(), waiter()];
    pool.acquire(a, false);
    pool.acquire(b, false);
    await settle();
    expect([a.error?.code, b.error?.code]).toEqual(["upstream-connect-failed", "upstream-connect-failed"]);
  });

  it("gives nothing to who has given up", async () => {
    const { pool, opened } = setUp();
    const a = waiter();
    pool.acquire(a, false);
    pool.release(a);
    await settle();
    expect(a.channel).toBeNull();
    const b = waiter();
    pool.acquire(b, false);
    expect(b.channel).toBe(opened[0]);
  });

  it("refuses one waiter too many, and opens no connection too many", async () => {
    const { pool, opened } = setUp();
    const waiters = Array.from({ length: LIMITS.upstreamConnectionsMax + LIMITS.pendingRequestsMax + 1 }, waiter);
    for (const each of waiters.slice(0, LIMITS.upstreamConnectionsMax)) pool.acquire(each, false);
    await settle();
    for (const each of waiters.slice(LIMITS.upstreamConnectionsMax)) pool.acquire(each, false);
    await settle();
    expect(opened).toHaveLength(LIMITS.upstreamConnectionsMax);
    expect(waiters.at(-1)!.error?.code).toBe("overloaded");
    expect(waiters.filter((each) => each.error !== null)).toHaveLength(1);
  });

  it("opens another for those who wait when a channel goes", async () => {
    const { pool, opened } = setUp();
    const holders = Array.from({ length: LIMITS.upstreamConnectionsMax }, waiter);
    for (const each of holders) pool.acquire(each, false);
    await settle();
    const late = waiter();
    pool.acquire(late, false);
    pool.onGone(opened[0]!);
    await settle();
    expect(late.channel).toBe(opened.at(-1));
  });

  it("is forgotten when nothing of it is left, and counts what is under way until then", async () => {
    const { pools, pool, opened } = setUp();
    const a = waiter();
    pool.acquire(a, false);
    expect(pools.activeTo(TARGET)).toBe(1);
    await settle();
    pool.onGone(opened[0]!);
    pool.release(a);
    expect(pools.activeTo(TARGET)).toBe(0);
    expect(pools.poolFor(TARGET)).not.toBe(pool);
  });
});

type TestChannel = { -readonly [Name in keyof Channel]: Channel[Name] };

function setUp() {
  const opened: TestChannel[] = [];
  let isFailing = false;
  let isHeld = false;
  const pools = new Pools(async () => {
    if (isFailing) throw new CardeaError("upstream-connect-failed", "nobody there");
    if (isHeld) await new Promise(() => {});
    const channel: TestChannel = {
      isFree: true,
      tls: NO_TLS,
      localPort: 0,
      send: () => expect.fail("nothing is sent"),
    };
    opened.push(channel);
    return channel;
  });
  const pool: TargetPool = pools.poolFor(TARGET);
  return { pools, pool, opened, fail: () => (isFailing = true), hold: () => (isHeld = true) };
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
