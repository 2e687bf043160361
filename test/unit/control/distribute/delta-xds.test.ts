import { EventEmitter } from "node:events";
import { beforeEach, describe, expect, test } from "vitest";
import type { DeltaDiscoveryResponse } from "../../../../src/api/generated/envoy/service/discovery/v3/DeltaDiscoveryResponse.ts";
import { ADDRESS_TYPE } from "../../../../src/api/resource-types.ts";
import { createDiscovery, type Discovery } from "../../../../src/control/distribute/delta-xds.ts";
import type { DeltaCall } from "../../../../src/control/distribute/discovery-call.ts";
import { createSidecars, type Sidecars } from "../../../../src/control/distribute/sidecars.ts";
import { LIMITS } from "../../../../src/core/limits.ts";
import { parseSpiffeId, parseTrustDomain } from "../../../../src/core/spiffe-id.ts";
import { createKeptLog } from "../../../support/kept-log.ts";
import { createSimulatedClock } from "../../../support/simulated-clock.ts";
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
beforeEach(() => {
  const clock = createSimulatedClock(0);
  sidecars = createSidecars(clock);
  discovery = createDiscovery({
    callerOf(call) {
      const { caller } = call as unknown as FakeCall;
      return caller === null ? null : parseSpiffeId(caller);
    },
    trustDomain: parseTrustDomain("cluster.local"),
    viewFor: () => new Map([[ADDRESS_TYPE, viewOf("1", { a: "1" })]]),
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

async function request(call: FakeCall): Promise<void> {
  call.emit("data", requestOf({ typeUrl: ADDRESS_TYPE, node: { id: "orders", userAgentBuildVersion: null } }));
  await new Promise((resolve) => setImmediate(resolve));
}
