import { beforeEach, describe, expect, test } from "vitest";
import { DELTA_DISCOVERY_REQUEST } from "../../src/api/messages.ts";
import { ADDRESS_TYPE, POLICY_SET_TYPE, POLICY_TYPE } from "../../src/api/resource-types.ts";
import { createLatest, type LatestSource } from "../../src/core/latest.ts";
import { LIMITS } from "../../src/core/limits.ts";
import { parseSpiffeId } from "../../src/core/spiffe-id.ts";
import { type Discovery, openDiscovery } from "../../src/proxy/discovery/discovery.ts";
import type { Identity } from "../../src/proxy/identity/identity.ts";
import { type Bench, createBench, pass } from "../support/http2-peers.ts";
import { createKeptLog } from "../support/kept-log.ts";
import { CONTROL_AT, listenSimControl, type SimControl } from "../support/sim-control.ts";
import { createTestAuthority, shopId, type TestAuthority } from "../support/test-authority.ts";
import { testRandom } from "../support/test-control.ts";

// A sidecar's stream to the control plane, over a network and a clock that the test moves: every step and every loss.

const CONTROL_ID = "spiffe://cluster.local/ns/cardea-system/sa/cardea-control";

let bench: Bench;
let authority: TestAuthority;
let identity: LatestSource<Identity | null>;
beforeEach(() => {
  bench = createBench();
  authority = createTestAuthority("cluster.local", bench.clock.wallMs());
  identity = createLatest<Identity | null>(authority.issue(shopId("orders")));
});

describe("a sidecar's stream", () => {
  test("asks for everything of each type, and answers each response with its nonce", async () => {
    const { control, discovery } = await open();
    const [call] = control.calls;
    expect(call!.messages.map((message) => DELTA_DISCOVERY_REQUEST.deserialize(message))).toMatchObject(
      [POLICY_TYPE, POLICY_SET_TYPE, ADDRESS_TYPE].map((typeUrl) => ({
        node: { id: "orders" },
        typeUrl,
        resourceNamesSubscribe: ["*"],
      })),
    );
    expect(discovery.connection.get()).toEqual({ at: "connecting" });
    call!.respond({ typeUrl: ADDRESS_TYPE, nonce: "n1" });
    await bench.network.settle();
    expect(discovery.connection.get()).toEqual({ at: "connected" });
    const answer = DELTA_DISCOVERY_REQUEST.deserialize(call!.messages[3]!);
    expect(answer).toMatchObject({ typeUrl: ADDRESS_TYPE, responseNonce: "n1", errorDetail: null });
  });

  test("refuses by nonce what it cannot take, and goes on", async () => {
    const { control, discovery } = await open();
    const resources = [{ name: "x", version: "1", resource: { type_url: "other", value: Buffer.alloc(0) } }];
    control.calls[0]!.respond({ typeUrl: ADDRESS_TYPE, nonce: "n1", resources });
    await bench.network.settle();
    const answer = DELTA_DISCOVERY_REQUEST.deserialize(control.calls[0]!.messages[3]!);
    expect(answer).toMatchObject({ responseNonce: "n1", errorDetail: { code: 3 } });
    expect(discovery.connection.get()).toEqual({ at: "connected" });
  });

  test("lasts through silence, which PING tells from death", async () => {
    const { discovery, control } = await openConnected();
    await pass(bench, 20 * LIMITS.http2PingTimeoutMs);
    expect(discovery.connection.get()).toEqual({ at: "connected" });
    expect(control.connectionCount).toBe(1);
  });

  test("ends with the certificate that made it, and goes on with the next one", async () => {
    const notAfterMs = bench.clock.wallMs() + 600_000;
    identity.set(authority.issue(shopId("orders"), { notAfterMs }));
    const { discovery, control } = await openConnected();
    await pass(bench, 599_000);
    identity.set(authority.issue(shopId("orders")));
    await bench.network.settle();
    control.calls[1]!.respond({ typeUrl: ADDRESS_TYPE, nonce: "n2" });
    await pass(bench, 60_000);
    expect(discovery.connection.get()).toEqual({ at: "connected" });
    expect([control.connectionCount, control.live.size]).toEqual([2, 1]);
  });

  test("leaves nothing behind when it is closed", async () => {
    const { discovery, control } = await openConnected();
    discovery.close();
    await pass(bench, 5_000);
    expect(control.calls[0]!.hasFailed).toBe(true);
    expect([control.live.size, bench.network.openCount]).toEqual([0, 0]);
  });
});

describe("a stream that is lost is opened again", () => {
  test.each<[string, (control: SimControl) => void]>([
    ["when the server ends it", (control) => control.calls[0]!.end(14, "gone%20for%20lunch")],
    ["when the server ends it in good order", (control) => control.calls[0]!.end(0)],
    ["when the server goes away and cuts it off", (control) => control.live.endNow(new Error("cut") as never)],
    ["when something comes that is no response", (control) => control.calls[0]!.send(Buffer.from([0xff]))],
  ])("%s", async (_what, lose) => {
    const { discovery, control } = await openConnected();
    lose(control);
    await bench.network.settle();
    expect(discovery.connection.get()).toMatchObject({ at: "retrying", retryInMs: 75 });
    await pass(bench, 500);
    expect(control.calls).toHaveLength(2);
    control.calls[1]!.respond({ typeUrl: ADDRESS_TYPE, nonce: "n2" });
    await bench.network.settle();
    expect(discovery.connection.get()).toEqual({ at: "connected" });
  });

  test("with the server's own words for the reason", async () => {
    const { discovery, control } = await openConnected();
    control.calls[0]!.end(16, "who%20are%20you");
    await bench.network.settle();
    expect(discovery.connection.get()).toMatchObject({ reason: "who are you (gRPC status 16)" });
  });

  test("when its certificate has ended without a successor, until that is noticed", async () => {
    identity.set(authority.issue(shopId("orders"), { notAfterMs: bench.clock.wallMs() + 60_000 }));
    const { discovery } = await openConnected();
    await pass(bench, 61_000);
    expect(discovery.connection.get().at).not.toBe("connected");
  });
});

describe("nothing is said to a server", () => {
  test.each<[string, () => Identity, string]>([
    [
      "that proves another identity",
      () => authority.issue(shopId("web")),
      "proved spiffe://cluster.local/ns/shop/sa/web",
    ],
    ["that another authority of the same name vouches for", () => createTestAuthority().issue(CONTROL_ID), ""],
    ["whose certificate has ended", () => authority.issue(CONTROL_ID, { notAfterMs: bench.clock.wallMs() - 1 }), ""],
    [
      "of another trust domain",
      () => createTestAuthority("other.test").issue("spiffe://other.test/ns/a/sa/b"),
      "other.test",
    ],
  ])("%s", async (_what, server, reason) => {
    const { discovery, control } = await open(server());
    expect(discovery.connection.get()).toMatchObject({ at: "retrying", reason: expect.stringContaining(reason) });
    expect([control.connectionCount, control.calls]).toEqual([1, []]);
    discovery.close();
    await pass(bench, 5_000);
    expect(bench.network.openCount).toBe(0);
  });

  test("that speaks no HTTP/2", async () => {
    const { discovery, control } = await open(undefined, "http/1.1");
    expect(discovery.connection.get()).toMatchObject({ at: "retrying" });
    expect(control.calls).toEqual([]);
  });

  test("that is not there", async () => {
    const discovery = follow();
    await bench.network.settle();
    expect(discovery.connection.get()).toMatchObject({ at: "retrying", reason: expect.stringContaining("nobody") });
  });
});

interface Scene {
  readonly control: SimControl;
  readonly discovery: Discovery;
}

async function open(server: Identity = authority.issue(CONTROL_ID), alpn = "h2"): Promise<Scene> {
  const { network, clock } = bench;
  const control = await listenSimControl({ network, clock, identity: server, alpn });
  const discovery = follow();
  await network.settle();
  return { control, discovery };
}

async function openConnected(): Promise<Scene> {
  const scene = await open();
  scene.control.calls[0]!.respond({ typeUrl: ADDRESS_TYPE, nonce: "n1" });
  await bench.network.settle();
  expect(scene.discovery.connection.get()).toEqual({ at: "connected" });
  return scene;
}

function follow(): Discovery {
  return openDiscovery({
    control: { address: CONTROL_AT, spiffeId: parseSpiffeId(CONTROL_ID) },
    identity,
    nodeId: "orders",
    workload: { namespace: "shop", labels: { app: "orders" } },
    network: bench.network,
    clock: bench.clock,
    random: testRandom,
    logger: createKeptLog(),
  });
}
