import { EventEmitter } from "node:events";
import { beforeEach, describe, expect, test } from "vitest";
import type { DeltaDiscoveryResponse } from "../../../../src/api/generated/envoy/service/discovery/v3/DeltaDiscoveryResponse.ts";
import { ADDRESS_TYPE } from "../../../../src/api/resource-types.ts";
import type { About, Changes } from "../../../../src/control/distribute/about.ts";
import { createDiscovery, type Discovery } from "../../../../src/control/distribute/delta-xds.ts";
import type { DeltaCall } from "../../../../src/control/distribute/discovery-call.ts";
import type { TypeView } from "../../../../src/control/distribute/resource.ts";
import { createSidecars, type Sidecars } from "../../../../src/control/distribute/sidecars.ts";
import { LIMITS } from "../../../../src/core/limits.ts";
import { parseSpiffeId, parseTrustDomain } from "../../../../src/core/spiffe-id.ts";
import { createKeptLog } from "../../../support/kept-log.ts";
import { createSimulatedClock, type SimulatedClock } from "../../../support/simulated-clock.ts";
import { requestOf, viewOf } from "./resources.ts";

const ORDERS = "spiffe://cluster.local/ns/shop/sa/orders";

/** A call as the gRPC library hands it over, with what became of it. */
class FakeCall extends EventEmitter {
  readonly caller: string | null;
  readonly written: DeltaDiscoveryResponse[] = [];
  status: { readonly code: number; readonly details: string } | null = null;
  isEnded = false;

  constructor(caller: string | null) {
    super();
    this.caller = caller;
    this.on("error", (status: { code: number; details: string }) => {
      this.status = status;
    });
  }

  write(response: DeltaDiscoveryResponse): void {
    this.written.push(response);
  }

  end(): void {
    this.isEnded = true;
  }
}

let discovery: Discovery;
let sidecars: Sidecars;
let clock: SimulatedClock;
let view: TypeView;
beforeEach(() => {
  clock = createSimulatedClock(0);
  view = viewOf("1", { a: "1" });
  sidecars = createSidecars(clock);
  discovery = createDiscovery({
    callerOf(call) {
      const { caller } = call as unknown as FakeCall;
      return caller === null ? null : parseSpiffeId(caller);
    },
    trustDomain: parseTrustDomain("cluster.local"),
    viewFor: () => new Map([[ADDRESS_TYPE, view]]),
    sidecars,
    clock,
    logger: createKeptLog(),
  });
});

test("a workload of the mesh is served", async () => {
  const call = accept(ORDERS);
  await request(call);
  expect(call.status).toBeNull();
  expect(call.written).toMatchObject([{ typeUrl: ADDRESS_TYPE, resources: [{ name: "a" }] }]);
});

describe("a caller is refused", () => {
  test.each([
    ["without a certificate", null],
    ["of another trust domain", "spiffe://other.test/ns/shop/sa/orders"],
    ["of a trust domain that begins alike", "spiffe://cluster.local.evil.test/ns/shop/sa/orders"],
    ["that is a trust domain itself", "spiffe://cluster.local"],
    ["that is no workload", "spiffe://cluster.local/ns/shop"],
    ["with more than a workload's path", "spiffe://cluster.local/ns/shop/sa/orders/x"],
  ])("%s, and told nothing", async (_name, caller) => {
    const call = accept(caller);
    await request(call);
    expect(call.status).toMatchObject({ code: 16 });
    expect(call.written).toEqual([]);
    expect(sidecars.status()).toEqual([]);
  });

  test("that has as many streams as one identity may, until one of them ends", () => {
    const calls = Array.from({ length: LIMITS.discoveryStreamsPerIdentityMax }, () => accept(ORDERS));
    expect(accept(ORDERS).status).toMatchObject({ code: 8 });
    expect(accept("spiffe://cluster.local/ns/shop/sa/web").status).toBeNull();
    calls[7]!.emit("cancelled");
    expect(accept(ORDERS).status).toBeNull();
    expect(accept(ORDERS).status).toMatchObject({ code: 8 });
  });

  test("when all streams are taken", () => {
    const perIdentity = LIMITS.discoveryStreamsPerIdentityMax;
    for (let index = 0; index < LIMITS.discoveryStreamsMax; index += 1)
      accept(`spiffe://cluster.local/ns/shop/sa/s${Math.floor(index / perIdentity)}`);
    expect(accept(ORDERS).status).toMatchObject({ code: 8 });
  });
});

describe("a stream that has ended", () => {
  test.each(["cancelled", "close", "end"])("by %s is given up, once", async (event) => {
    const call = accept(ORDERS);
    await request(call);
    call.emit(event);
    call.emit("close");
    expect(sidecars.status()).toMatchObject([{ connected: false }]);
    discovery.push();
    await request(call);
    expect(call.written).toHaveLength(1);
  });

  test("on the client's side is ended on ours", () => {
    const call = accept(ORDERS);
    call.emit("end");
    expect(call.isEnded).toBe(true);
  });
});

describe("of a workload that has changed", () => {
  const CHANGE = changeOf({ services: ["shop/a"], spiffeId: parseSpiffeId("spiffe://cluster.local/ns/shop/sa/a") });

  test.each([
    ["who has asked for its service by name", ORDERS, ["*", "shop/a"]],
    ["who has its identity", "spiffe://cluster.local/ns/shop/sa/a", ["*"]],
  ])("%s hears at once", async (_name, caller, names) => {
    const call = await inSync(caller, names);
    await change(CHANGE);
    expect(call.written).toHaveLength(2);
  });

  test.each([
    ["who has asked for nothing by name", ["*"]],
    ["who has asked for another service", ["*", "shop/b"]],
    ["who has asked for a name that begins alike", ["*", "shop/ab"]],
  ])("%s hears later, of all that has changed meanwhile", async (_name, names) => {
    const call = await inSync(ORDERS, names);
    await change(CHANGE);
    await change(CHANGE, "3");
    expect(call.written).toHaveLength(1);
    await clock.advance(LIMITS.discoveryLaterMs);
    await turn();
    expect(call.written).toHaveLength(2);
    expect(call.written[1]).toMatchObject({ resources: [{ name: "a", version: "3" }] });
  });

  test("who has given the name up hears later", async () => {
    const call = await inSync(ORDERS, ["*", "shop/a"]);
    call.emit("data", requestOf({ typeUrl: ADDRESS_TYPE, resourceNamesUnsubscribe: ["shop/a"] }));
    await turn();
    await change(CHANGE);
    expect(call.written).toHaveLength(1);
  });

  test("who has gone hears nothing", async () => {
    const call = await inSync(ORDERS, ["*", "shop/a"]);
    call.emit("close");
    await change(CHANGE);
    await clock.advance(LIMITS.discoveryLaterMs);
    await turn();
    expect(call.written).toHaveLength(1);
  });
});

describe("everybody hears at once", () => {
  test.each([
    ["of a service, which nobody can have asked for before it was there", changeOf({ isService: true })],
    ["of the first workload behind a service", { ...changeOf({ services: ["shop/a"] }), opened: new Set(["shop/a"]) }],
    ["when nobody knows what has changed", null],
  ])("%s", async (_name, changes) => {
    const call = await inSync(ORDERS, ["*"]);
    await change(changes);
    expect(call.written).toHaveLength(2);
  });
});

test("an identity whose labels have changed hears at once, and no other", async () => {
  const [own, other] = [await inSync(ORDERS, ["*"]), await inSync("spiffe://cluster.local/ns/shop/sa/web", ["*"])];
  await change({ names: new Map(), identities: new Set([parseSpiffeId(ORDERS)]), opened: new Set() });
  expect([own.written.length, other.written.length]).toEqual([2, 1]);
});

test("a close ends every stream as the sidecars expect it: try again", async () => {
  const calls = [accept(ORDERS), accept("spiffe://cluster.local/ns/shop/sa/web")];
  await request(calls[0]!);
  discovery.close();
  expect(calls.map(({ status }) => status?.code)).toEqual([14, 14]);
  expect(sidecars.status()).toMatchObject([{ connected: false }]);
});

function accept(caller: string | null): FakeCall {
  const call = new FakeCall(caller);
  discovery.handlers.DeltaAggregatedResources(call as unknown as DeltaCall);
  return call;
}

function changeOf(about: Partial<About>): Changes {
  const whole = { namespace: "shop", isService: false, services: [], spiffeId: null, exportTo: null, ...about };
  return { names: new Map([["a", [whole]]]), identities: new Set(), opened: new Set() };
}

/** A stream that has acknowledged all that there is. */
async function inSync(caller: string, names: readonly string[]): Promise<FakeCall> {
  const call = accept(caller);
  call.emit("data", requestOf({ typeUrl: ADDRESS_TYPE, resourceNamesSubscribe: [...names] }));
  await turn();
  call.emit("data", requestOf({ typeUrl: ADDRESS_TYPE, responseNonce: "1" }));
  await turn();
  expect(call.written).toHaveLength(1);
  return call;
}

async function change(changes: Changes | null, version = "2"): Promise<void> {
  view = viewOf(version, { a: version });
  discovery.pushRegistry(changes);
  await turn();
}

/** Streams are looked at in one turn of the event loop, and send in the next. */
async function turn(): Promise<void> {
  for (let turns = 0; turns < 3; turns += 1) await new Promise((resolve) => setImmediate(resolve));
}

async function request(call: FakeCall): Promise<void> {
  call.emit("data", requestOf({ typeUrl: ADDRESS_TYPE, node: { id: "orders", userAgentBuildVersion: null } }));
  await new Promise((resolve) => setImmediate(resolve));
}
