import { beforeAll, describe, expect, it } from "vitest";
import type { Connection } from "../../src/core/ports.ts";
import { addAuthz, AUTHZ_SERVICE, customSetOf, providerOf } from "../support/asked-outside.ts";
import { type Collected, collect } from "../support/collected.ts";
import { openSimMesh, say, type SimMesh } from "../support/sim-mesh.ts";
import { BETWEEN, policy, policySetOf, WEB_MAY } from "../support/test-mesh.ts";

// A server outside is asked once about each exchange. What becomes of exchanges under way when the CUSTOM policies change.

const AUTHZ_APP = { host: "127.0.0.1", port: 9900 };
const YES = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const WEBSOCKET = "GET /ws HTTP/1.1\r\nHost: o\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const OPA = { name: "opa", envoyExtAuthzHttp: { service: AUTHZ_SERVICE, port: 9000 } };
const WITHOUT_CUSTOM = policySetOf([WEB_MAY], {}, "first");

function ask(path: string, name = "ask", provider = "opa"): object {
  const to = path === "" ? {} : { to: [{ operation: { paths: [path] } }] };
  return policy(name, { action: "CUSTOM", provider: { name: provider }, rules: [to] });
}

beforeAll(() => import("../../src/proxy/service-call.ts"));

class World {
  readonly mesh: SimMesh;
  /** What the server got, a connection each. */
  readonly asked: Collected[] = [];

  constructor(mesh: SimMesh) {
    this.mesh = mesh;
  }

  async open(): Promise<this> {
    const { network, clock } = this.mesh;
    await network.listen(AUTHZ_APP, (connection: Connection) => void this.asked.push(collect(connection)));
    await addAuthz(this.mesh, { network, clock, app: AUTHZ_APP, protocol: "HTTP" });
    return this;
  }

  async put(policies: readonly object[], provider: object = OPA): Promise<void> {
    const { clock } = this.mesh;
    const set = await customSetOf(policies, { providers: [providerOf(provider)], clock, revision: "second" });
    this.mesh.orders.policy.set(set);
    await this.mesh.settle();
  }

  /** A request that orders' app has got, and not answered, after the server has let it pass. */
  async passed(path: string): Promise<void> {
    await this.put([ask("/admin*"), WEB_MAY]);
    await this.mesh.call(this.mesh.toOrders, `GET ${path} HTTP/1.1\r\nHost: orders\r\n\r\n`);
    say(this.asked[0]!, YES);
    await this.mesh.settle();
    expect(this.mesh.ordersApp[0]!.text()).toContain(`GET ${path} `);
  }

  get ended() {
    return this.mesh.orders.flows.filter(({ reporter }) => reporter === "destination");
  }
}

const LOST = { verdict: "denied", reason: "permission-lost", revision: "second", policy: "shop/ask", rule: 0 };

describe.each(BETWEEN)("what is under way when CUSTOM policies change, with %s between the sidecars", (between) => {
  async function openWorld(): Promise<World> {
    return new World(await openSimMesh({ between, policy: WITHOUT_CUSTOM })).open();
  }

  it("ends where a rule matches it that nobody was asked about", async () => {
    const world = await openWorld();
    await world.mesh.call(world.mesh.toOrders, "GET /admin HTTP/1.1\r\nHost: orders\r\n\r\n");
    await world.put([ask("/admin*"), WEB_MAY]);
    expect(world.ended).toMatchObject([LOST]);
    expect(world.ended[0]!.detail).toContain("the provider opa has not been asked about it");
    expect(world.asked).toEqual([]);
  });

  it("ends a WebSocket so", async () => {
    const world = await openWorld();
    const caller = await world.mesh.call(world.mesh.toOrders, WEBSOCKET);
    say(world.mesh.ordersApp[0]!, SWITCH);
    await world.mesh.settle();
    await world.put([ask("/ws"), WEB_MAY]);
    expect(caller.error?.code).toBe("upstream-reset");
    expect(world.ended).toMatchObject([{ ...LOST, status: 101 }]);
  });

  it("ends an opaque connection so", async () => {
    const world = await openWorld();
    const caller = await world.mesh.call(world.mesh.toLedger, "BALANCE\n");
    await world.put([ask(""), WEB_MAY]);
    expect(caller.error?.code).toBe("upstream-reset");
    expect(world.ended).toMatchObject([{ ...LOST, protocol: "tcp" }]);
  });

  it("ends what another server has let pass", async () => {
    const world = await openWorld();
    await world.passed("/admin");
    const moved = { name: "opa", envoyExtAuthzHttp: { service: "other.shop.svc.cluster.local", port: 9000 } };
    await world.put([ask("/admin*"), WEB_MAY], moved);
    expect(world.ended).toMatchObject([LOST]);
  });

  it("ends what a server has let pass that the mesh does not know any more", async () => {
    const world = await openWorld();
    await world.passed("/admin");
    await world.put([ask("/admin*"), WEB_MAY], { ...OPA, name: "renamed" });
    expect(world.ended).toMatchObject([LOST]);
  });

  it("ends what its server has let pass and a DENY policy denies now", async () => {
    const world = await openWorld();
    await world.passed("/admin");
    const deny = policy("nobody", { action: "DENY", rules: [{}] });
    await world.put([ask("/admin*"), WEB_MAY, deny]);
    expect(world.ended).toMatchObject([{ ...LOST, policy: "shop/nobody" }]);
  });

  it("goes on where its server has let it pass, whichever rule matches now, and the server is not asked again", async () => {
    const world = await openWorld();
    await world.passed("/admin");
    await world.put([ask("/*", "ask-all"), WEB_MAY], {
      name: "opa",
      envoyExtAuthzHttp: { ...OPA.envoyExtAuthzHttp, timeout: "9s" },
    });
    expect(world.ended).toEqual([]);
    expect(world.asked).toHaveLength(1);
  });

  it("goes on where no rule matches it", async () => {
    const world = await openWorld();
    await world.mesh.call(world.mesh.toOrders, "GET /open HTTP/1.1\r\nHost: orders\r\n\r\n");
    await world.put([ask("/admin*"), WEB_MAY]);
    expect(world.ended).toEqual([]);
  });
});

describe("an opaque connection over HBONE", () => {
  it("ends where a CUSTOM rule matches it that nobody was asked about", async () => {
    const world = await new World(await openSimMesh({ hbone: true, policy: WITHOUT_CUSTOM })).open();
    const caller = await world.mesh.call(world.mesh.toLedger, "BALANCE\n");
    expect(world.mesh.ledgerApp[0]!.text()).toBe("BALANCE\n");
    await world.put([ask(""), WEB_MAY]);
    expect(caller.error?.code).toBe("upstream-reset");
    expect(world.ended).toMatchObject([{ ...LOST, protocol: "tcp" }]);
  });
});
