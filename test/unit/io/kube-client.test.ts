import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import type { KubeEvent, TextSource } from "../../../src/core/kube.ts";
import { KUBE } from "../../../src/core/kube-resources.ts";
import { LIMITS } from "../../../src/core/limits.ts";
import { type KubeClient, openKubeClient } from "../../../src/io/kube-client.ts";
import { type FaultProxy, openFaultProxy } from "../../support/fault-proxy.ts";
import { createKubeCertificates } from "../../support/kube-certificates.ts";
import { createSeededRandom, createSimulatedClock, type SimulatedClock } from "../../support/simulated-clock.ts";

// The client before a server that fails in every way that one can: real TLS on loopback, a clock that the test moves.

const certificates = createKubeCertificates();
const directory = mkdtempSync(join(tmpdir(), "cardea-client-"));
const tokenFile = join(directory, "token");
const AT = { namespace: "shop", name: "a" };
const OBJECT = { metadata: { ...AT, resourceVersion: "7" } };

let clock: SimulatedClock;
let answer: (request: IncomingMessage, response: ServerResponse) => void;
const opened: { close(): Promise<void> }[] = [];

beforeEach(() => {
  // Of the wall as well: what is compared with it is the server's Date.
  clock = createSimulatedClock(Date.now());
  answer = (_request, response) => json(response, OBJECT);
  writeFileSync(tokenFile, "first\n");
});
afterEach(async () => {
  for (const each of opened.splice(0).toReversed()) await each.close();
});
afterAll(() => rmSync(directory, { recursive: true }));

/** These waits pass in real time: short where a test is about their end, and as in production elsewhere. */
interface RealWaits {
  readonly callMs?: number;
  readonly watchSilenceMs?: number;
}

async function open(
  token: TextSource = { text: "secret" },
  waits: RealWaits = {},
): Promise<{ client: KubeClient; proxy: FaultProxy }> {
  const proxy = await openFaultProxy(certificates.server, (request, response) => answer(request, response));
  const client = openKubeClient({
    connection: { server: proxy.url, ca: { text: certificates.caPem }, credential: { kind: "token", token } },
    clock,
    random: createSeededRandom(1),
    userAgent: "test",
    ...waits,
  });
  opened.push(proxy, client);
  return { client, proxy };
}

function json(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value));
}

/** Lets waits of the client pass until the call has ended; it ends by what is sent to it alone. */
async function settled<T>(call: Promise<T>): Promise<PromiseSettledResult<T>> {
  const state = { isOver: false };
  const all = Promise.allSettled([call]).finally(() => (state.isOver = true));
  while (!state.isOver) await clock.advance(1_000);
  return (await all)[0];
}

test("HTTP/1.1 is spoken though HTTP/2 is offered: no call shares the fate of another", async () => {
  const { client, proxy } = await open();
  await client.get(KUBE.pods, AT);
  expect(proxy.requests[0]).toMatchObject({ httpVersion: "1.1", headers: { authorization: "Bearer secret" } });
});

describe("a server that throttles", () => {
  test("is asked again when it says, and the answer counts", async () => {
    const { client, proxy } = await open();
    proxy.plan(({ before }) => (before < 2 ? { kind: "answer", status: 429, headers: { "retry-after": "7" } } : null));
    const begun = clock.monotonicMs();
    expect(await settled(client.get(KUBE.pods, AT))).toMatchObject({ status: "fulfilled", value: OBJECT });
    expect(clock.monotonicMs() - begun).toBeGreaterThanOrEqual(14_000);
    expect(proxy.requests).toHaveLength(3);
  });

  test.each(["", "86400", "soon", "-1", "Wed, 21 Oct 2099 07:28:00 GMT"])(
    "for ever, and says %j of when, is left after four tries within a minute",
    async (retryAfter) => {
      const { client, proxy } = await open();
      proxy.plan(() => ({ kind: "answer", status: 429, headers: { "retry-after": retryAfter } }));
      const begun = clock.monotonicMs();
      expect(await settled(client.get(KUBE.pods, AT))).toMatchObject({ reason: { code: "unreachable" } });
      expect(proxy.requests).toHaveLength(4);
      expect(clock.monotonicMs() - begun).toBeLessThan(60_000);
    },
  );
});

describe("an answer that is none", () => {
  test.each<[string, string]>([
    ["nothing", ""],
    ["half of one", '{"metadata":{"name":"a"'],
    ["HTML of a proxy", "<html>"],
    ["null", "null"],
    ["a list", "[]"],
    ["an object without metadata", '{"kind":"Pod"}'],
    ["metadata that is a list", '{"metadata":[]}'],
  ])("%s: unreachable", async (_what, body) => {
    const { client } = await open();
    answer = (_request, response) => void response.writeHead(200).end(body);
    await expect(client.get(KUBE.pods, AT)).rejects.toMatchObject({ code: "unreachable" });
  });

  test.each<[string, string]>([
    ["no items' version", '{"items":[]}'],
    ["items that are an object", '{"metadata":{"resourceVersion":"1"},"items":{}}'],
    ["an item that is null", '{"metadata":{"resourceVersion":"1"},"items":[null]}'],
    ["an item without metadata", '{"metadata":{"resourceVersion":"1"},"items":[{}]}'],
  ])("a list with %s is never taken for an empty one", async (_what, body) => {
    const { client } = await open();
    answer = (_request, response) => void response.writeHead(200).end(body);
    await expect(client.list(KUBE.pods)).rejects.toMatchObject({ code: "unreachable" });
  });

  test("a list whose second page fails is none, and one whose place is gone is listed anew by who asked", async () => {
    const { client, proxy } = await open();
    answer = (_request, response) =>
      json(response, { metadata: { resourceVersion: "1", continue: "more" }, items: [OBJECT] });
    proxy.plan(({ path }) => (path.includes("continue=") ? { kind: "answer", status: 410 } : null));
    await expect(client.list(KUBE.pods)).rejects.toMatchObject({ code: "kube-gone" });
  });

  test.each([500, 502, 503, 504])("%i: unreachable", async (status) => {
    const { client, proxy } = await open();
    proxy.plan(() => ({ kind: "answer", status }));
    await expect(client.get(KUBE.pods, AT)).rejects.toMatchObject({ code: "unreachable" });
  });

  test.each(["stall", "stall-after", "cut-after"] as const)("%s: unreachable in time", async (kind) => {
    const { client, proxy } = await open({ text: "secret" }, { callMs: 300 });
    proxy.plan(() => ({ kind, bytes: 10 }));
    await expect(client.get(KUBE.pods, AT)).rejects.toMatchObject({ code: "unreachable" });
  });

  test("one call that is never answered holds up no other", async () => {
    const { client, proxy } = await open({ text: "secret" }, { callMs: 5_000 });
    proxy.plan(({ path }) => (path.endsWith("/stuck") ? { kind: "stall" } : null));
    const stuck = client.get(KUBE.pods, { ...AT, name: "stuck" });
    const ended: string[] = [];
    const others = Array.from({ length: 20 }, () => client.get(KUBE.pods, AT));
    await Promise.all([stuck.catch(() => ended.push("stuck")), Promise.all(others).then(() => ended.push("others"))]);
    expect(ended).toEqual(["others", "stuck"]);
  });
});

describe("a token", () => {
  test("that is refused is read again at once, and the call goes on with the new one", async () => {
    const { client, proxy } = await open({ file: tokenFile });
    proxy.plan(({ headers }) => (headers.authorization === "Bearer second" ? null : { kind: "answer", status: 401 }));
    writeFileSync(tokenFile, "first");
    await expect(client.get(KUBE.pods, AT)).rejects.toMatchObject({ code: "kube-forbidden" });
    writeFileSync(tokenFile, "second");
    expect(await client.get(KUBE.pods, AT)).toMatchObject(OBJECT);
  });

  test("that is refused, and has not changed, is not shown again and again", async () => {
    const { client, proxy } = await open({ file: tokenFile });
    proxy.plan(() => ({ kind: "answer", status: 401 }));
    await expect(client.get(KUBE.pods, AT)).rejects.toMatchObject({ code: "kube-forbidden" });
    expect(proxy.requests).toHaveLength(1);
  });

  test("is read again as it ages, before anybody refuses it", async () => {
    const { client, proxy } = await open({ file: tokenFile });
    await client.get(KUBE.pods, AT);
    writeFileSync(tokenFile, "second");
    await client.get(KUBE.pods, AT);
    await clock.advance(61_000);
    await client.get(KUBE.pods, AT);
    expect(proxy.requests.map(({ headers }) => headers.authorization)).toEqual([
      "Bearer first",
      "Bearer first",
      "Bearer second",
    ]);
  });

  test.each<[string, () => void]>([
    ["gone", () => rmSync(tokenFile)],
    ["empty", () => writeFileSync(tokenFile, "")],
    ["blank", () => writeFileSync(tokenFile, " \n")],
  ])("whose file is %s for a while is used as it was", async (_what, damage) => {
    const { client, proxy } = await open({ file: tokenFile });
    await client.get(KUBE.pods, AT);
    damage();
    await clock.advance(61_000);
    await client.get(KUBE.pods, AT);
    writeFileSync(tokenFile, "second");
    await clock.advance(61_000);
    await client.get(KUBE.pods, AT);
    expect(proxy.requests.map(({ headers }) => headers.authorization)).toEqual([
      "Bearer first",
      "Bearer first",
      "Bearer second",
    ]);
  });

  test.each<[string, () => void]>([
    ["absent", () => rmSync(tokenFile)],
    ["empty", () => writeFileSync(tokenFile, "")],
  ])("that is %s from the beginning is an error, and nothing is asked without it", async (_what, damage) => {
    const { client, proxy } = await open({ file: tokenFile });
    damage();
    await expect(client.get(KUBE.pods, AT)).rejects.toBeDefined();
    expect(proxy.requests).toEqual([]);
  });
});

describe("a watch", () => {
  test("that is cut in the middle of a line tells what was whole, and no more", async () => {
    const { seen, ended } = await watched([event("a", "2"), event("b", "3").slice(0, 30)], (response) =>
      setImmediate(() => response.destroy()),
    );
    expect(seen.length).toBeLessThan(2);
    expect(ended).toMatchObject({ code: "unreachable" });
  });

  test("that ends in good order in the middle of a line goes on from the one before it", async () => {
    const { seen, ended } = await watched([event("a", "2"), event("b", "3").slice(0, 30)], (response) =>
      response.end(),
    );
    expect([seen, ended]).toEqual([["a"], undefined]);
  });

  test("that falls silent, bookmarks included, is dead", async () => {
    const { seen, ended } = await watched([event("a", "2")], () => undefined, { watchSilenceMs: 1_500 });
    expect(seen).toEqual(["a"]);
    expect(ended).toMatchObject({ code: "unreachable" });
  });

  test.each<[string, string, string]>([
    ["a line that is no JSON", "nonsense\n", "unreachable"],
    ["an event of no known type", '{"type":"PERHAPS","object":{"metadata":{}}}\n', "unreachable"],
    ["an event without an object", '{"type":"ADDED"}\n', "unreachable"],
    ["null", "null\n", "unreachable"],
    ["410 in its stream", '{"type":"ERROR","object":{"code":410}}\n', "kube-gone"],
    ["an error without a code", '{"type":"ERROR"}\n', "unreachable"],
    ["a line without an end", "x".repeat(LIMITS.kubeEventBytesMax + 1), "unreachable"],
  ])("that brings %s has failed", async (_what, line, code) => {
    const { seen, ended } = await watched([event("a", "2"), line], (response) => response.end());
    expect(seen).toEqual(["a"]);
    expect(ended).toMatchObject({ code });
  });

  test.each([
    [401, "kube-forbidden"],
    [403, "kube-forbidden"],
    [404, "kube-absent"],
    [410, "kube-gone"],
    [429, "unreachable"],
    [500, "unreachable"],
    [504, "unreachable"],
  ])("that is answered %i: %s", async (status, code) => {
    const { client, proxy } = await open();
    proxy.plan(() => ({ kind: "answer", status }));
    const events = client.watch(KUBE.pods, { resourceVersion: "1" }, new AbortController().signal);
    await expect(follow(events, [])).rejects.toMatchObject({ code });
  });
});

describe("clocks", () => {
  test.each([
    [-7_200_000, 7_200_000],
    [-600_000, 600_000],
    [600_000, -600_000],
    [7_200_000, -7_200_000],
  ])("that are %i ms from the server's are seen at its next answer, to two seconds", async (wallMs, expected) => {
    const { client } = await open();
    clock.setWall(Date.now() - wallMs);
    await client.get(KUBE.pods, AT);
    const aheadMs = client.clockAheadMs!.get();
    expect(Math.sign(aheadMs)).toBe(Math.sign(expected));
    expect(Math.abs(aheadMs - expected)).toBeLessThan(30_000);
    clock.setWall(Date.now());
    await client.get(KUBE.pods, AT);
    // The test's clock stands still while the server's goes on.
    expect(Math.abs(client.clockAheadMs!.get())).toBeLessThan(30_000);
  });

  test.each(["", "now", "Thu, 99 Foo 2026 00:00:00 GMT"])("are not judged by %j", async (date) => {
    const { client } = await open();
    answer = (_request, response) => {
      response.sendDate = false;
      if (date !== "") response.setHeader("date", date);
      json(response, OBJECT);
    };
    clock.setWall(0);
    await client.get(KUBE.pods, AT);
    expect(client.clockAheadMs!.get()).toBe(0);
  });
});

function event(name: string, resourceVersion: string): string {
  return `${JSON.stringify({ type: "ADDED", object: { metadata: { name, namespace: "shop", resourceVersion } } })}\n`;
}

/** What a watch tells of such lines, and how it ends. */
async function watched(lines: readonly string[], finish: (response: ServerResponse) => void, waits: RealWaits = {}) {
  const { client } = await open({ text: "secret" }, waits);
  answer = (_request, response) => {
    response.writeHead(200);
    for (const line of lines) response.write(line);
    finish(response);
  };
  const seen: string[] = [];
  const events = client.watch(KUBE.pods, { resourceVersion: "1" }, new AbortController().signal);
  const ended = await follow(events, seen).catch((error: unknown) => error);
  return { seen, ended };
}

async function follow(events: AsyncIterable<KubeEvent>, seen: string[]): Promise<void> {
  for await (const each of events) if ("object" in each) seen.push(each.object.metadata.name);
}
