import { createServer, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createLatest, type LatestSource } from "../../../../src/core/latest.ts";
import { LIMITS } from "../../../../src/core/limits.ts";
import type { Address, Clock } from "../../../../src/core/ports.ts";
import { parseSpiffeId } from "../../../../src/core/spiffe-id.ts";
import { systemClock } from "../../../../src/io/clock.ts";
import { createSocketNetwork } from "../../../../src/io/sockets.ts";
import type { DiscoveryConnection } from "../../../../src/proxy/discovery/control-link.ts";
import { type Discovery, openDiscovery } from "../../../../src/proxy/discovery/discovery.ts";
import type { Identity } from "../../../../src/proxy/identity/identity.ts";
import { createKeptLog } from "../../../support/kept-log.ts";
import { createSimulatedClock } from "../../../support/simulated-clock.ts";
import { createTestAuthority, shopId } from "../../../support/test-authority.ts";
import { testRandom } from "../../../support/test-control.ts";
import {
  type ControlFixture,
  isPresent,
  openControlFixture,
  policy,
  registryOf,
  valueWhen,
} from "../../control/control-fixture.ts";

const CONTROL_ID = "spiffe://cluster.local/ns/cardea-system/sa/cardea-control";

let identity: LatestSource<Identity | null>;
let opened: { close(): void }[];
beforeEach(() => {
  identity = createLatest<Identity | null>(null);
  opened = [];
});
afterEach(() => {
  for (const each of opened) each.close();
});

describe("while there is no control plane", () => {
  test("tries come slower each time, up to a bound, and by chance not all at once", async () => {
    const clock = createSimulatedClock(Date.now());
    identity.set(createTestAuthority().issue(shopId("orders")));
    const { connection } = open({ host: "127.0.0.1", port: await unusedPort() }, { clock });
    const waits: number[] = [];
    for (let round = 0; round < 10; round += 1) {
      const state = await valueWhen(connection, isRetrying);
      waits.push(state.retryInMs);
      await clock.advance(state.retryInMs - 1);
      expect(connection.get()).toBe(state);
      void clock.advance(1);
      await valueWhen(connection, ({ at }) => at === "connecting");
    }
    // Half to all of 100 ms, doubled each time; the middle of it, since the test's chance is always one half.
    expect(waits).toEqual([75, 150, 300, 600, 1_200, 2_400, 4_800, 7_500, 7_500, 7_500]);
    expect(Math.max(...waits)).toBeLessThanOrEqual(LIMITS.discoveryRetryMsMax);
  });

  test("one that takes the connection and is silent is given up", async () => {
    const clock = createSimulatedClock(Date.now());
    const silent = await openSilentServer();
    identity.set(createTestAuthority().issue(shopId("orders")));
    const { connection } = open(silent.address, { clock });
    await silent.connected;
    await clock.advance(LIMITS.handshakeTimeoutMs);
    expect(connection.get()).toMatchObject({ at: "retrying", reason: "the control plane does not answer" });
  });

  test("nothing is tried without an identity", () => {
    const { connection, policies } = open({ host: "127.0.0.1", port: 1 });
    expect(connection.get()).toEqual({ at: "waiting-for-identity" });
    expect(policies.get()).toBeNull();
  });
});

describe("with a control plane", () => {
  let mesh: ControlFixture;
  let first: Identity;
  beforeEach(async () => {
    mesh = await openControlFixture();
    await mesh.writePolicy("a.yaml", policy("a", "{rules: [{}]}"));
    await mesh.writeRegistry("orders.json", registryOf("orders", 1_001));
    await mesh.start();
    first = await newIdentity();
  });
  afterEach(() => mesh.close());

  test("a new certificate makes a new stream, over which nothing is lost", async () => {
    const { policies, registry, connection } = open(mesh.plane().address);
    identity.set(first);
    const set = await valueWhen(policies, isPresent);
    const service = (await valueWhen(registry, (value) => value.services.length === 1)).services[0];
    await mesh.log.line("sidecar-acknowledged");
    mesh.log.forget();
    identity.set(await newIdentity());
    await mesh.log.line("sidecar-disconnected");
    await mesh.log.line("sidecar-acknowledged", { revision: set.revision });
    expect(connection.get()).toEqual({ at: "connected" });
    expect(policies.get()).toBe(set);
    expect(registry.get().services[0]).toBe(service);
    await mesh.writePolicy("a.yaml", policy("a", "{rules: []}"));
    await valueWhen(policies, (value) => value !== set);
  });

  test("an identity that has ended ends the stream, and leaves what was in force", async () => {
    const { policies, connection } = open(mesh.plane().address);
    identity.set(first);
    const set = await valueWhen(policies, isPresent);
    identity.set(null);
    expect(connection.get()).toEqual({ at: "waiting-for-identity" });
    expect(policies.get()).toBe(set);
    await mesh.log.line("sidecar-disconnected");
  });

  test("after close nothing changes any more", async () => {
    const discovery = open(mesh.plane().address);
    identity.set(first);
    const set = await valueWhen(discovery.policies, isPresent);
    discovery.close();
    await mesh.log.line("sidecar-disconnected");
    await mesh.writePolicy("a.yaml", policy("a", "{rules: []}"));
    await mesh.log.line("policies-in-force", { before: set.revision });
    identity.set(await newIdentity());
    expect(discovery.policies.get()).toBe(set);
  });

  test.each([
    [
      "another identity of the mesh",
      "spiffe://cluster.local/ns/shop/sa/web",
      "proved spiffe://cluster.local/ns/cardea-system",
    ],
    [
      "the same name in another trust domain",
      "spiffe://other.test/ns/cardea-system/sa/cardea-control",
      "not spiffe://other.test",
    ],
  ])("a server that proves not who it should be is told nothing: %s", async (_name, controlId, reason) => {
    identity.set(first);
    const { connection, policies } = open(mesh.plane().address, { controlId });
    const state = await valueWhen(connection, isRetrying);
    expect(state.reason).toContain(reason);
    expect(policies.get()).toBeNull();
    expect(mesh.log.events()).not.toContain("sidecar-connected");
  });

  test("a server of another authority is told nothing", async () => {
    identity.set(createTestAuthority().issue(shopId("orders")));
    const { connection } = open(mesh.plane().address);
    await valueWhen(connection, isRetrying);
    expect(mesh.log.events()).not.toContain("sidecar-connected");
  });

  async function newIdentity(): Promise<Identity> {
    const sidecar = await mesh.join("orders");
    const issued = await valueWhen(sidecar.holder.identity, isPresent);
    sidecar.close();
    return issued;
  }
});

function open(address: Address, options: { readonly clock?: Clock; readonly controlId?: string } = {}): Discovery {
  const discovery = openDiscovery({
    control: { address, spiffeId: parseSpiffeId(options.controlId ?? CONTROL_ID) },
    identity,
    nodeId: "orders",
    workload: { namespace: "shop", labels: { app: "orders" } },
    network: createSocketNetwork(),
    clock: options.clock ?? systemClock,
    random: testRandom,
    logger: createKeptLog(),
  });
  opened.push(discovery);
  return discovery;
}

type Retrying = Extract<DiscoveryConnection, { at: "retrying" }>;

function isRetrying(state: DiscoveryConnection): state is Retrying {
  return state.at === "retrying";
}

async function unusedPort(): Promise<number> {
  const server = await openSilentServer();
  server.close();
  return server.address.port;
}

async function openSilentServer() {
  const connected = Promise.withResolvers<void>();
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket.on("error", () => undefined));
    connected.resolve();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const bound = server.address();
  if (bound === null || typeof bound === "string") throw new Error("no address");
  const close = (): void => {
    for (const socket of sockets) socket.destroy();
    server.close();
  };
  opened.push({ close });
  return { address: { host: "127.0.0.1", port: bound.port }, connected: connected.promise, close };
}
