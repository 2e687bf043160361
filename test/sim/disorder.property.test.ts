import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LIMITS } from "../../src/core/limits.ts";
import type { Collected } from "../support/collected.ts";
import { openSimMesh, type SimMesh } from "../support/sim-mesh.ts";
import type { SimConnection } from "../support/sim-network.ts";
import { shopId } from "../support/test-authority.ts";
import { BETWEEN, policySetOf, WEB_MAY } from "../support/test-mesh.ts";

// Callers, apps, policies, certificates and time do what they like, in any order. Nothing of it may crash a sidecar,
// leave a connection behind, record something twice, or let a request reach its app without a record.

const REQUESTS = [
  "GET /a HTTP/1.1\r\nHost: orders\r\n\r\n",
  "POST /b HTTP/1.1\r\nHost: orders\r\nContent-Length: 5\r\n\r\nhello",
  "POST /c HTTP/1.1\r\nHost: orders\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n",
  "POST /d HTTP/1.1\r\nHost: orders\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
  "POST /e HTTP/1.1\r\nHost: orders\r\nContent-Length: 100000\r\n\r\n",
  "HEAD /f HTTP/1.1\r\nHost: orders\r\n\r\n",
  "GET /ws HTTP/1.1\r\nHost: orders\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
  "GET /g HTTP/1.0\r\nHost: orders\r\n\r\n",
  "GET /h HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n",
  "CONNECT ledger:5432 HTTP/1.1\r\nHost: ledger:5432\r\n\r\n",
  "CONNECT orders:80 HTTP/1.1\r\nHost: orders:80\r\n\r\n",
  "GET http://nowhere/ HTTP/1.1\r\nHost: x\r\n\r\n",
  "GET / HTTP/1.1\r\nHost : broken\r\n\r\n",
  "some bytes",
];

const ANSWERS = [
  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
  "HTTP/1.1 200 OK\r\n\r\nuntil close",
  "HTTP/1.1 100 Continue\r\n\r\n",
  "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nraw",
  "HTTP/1.1 204 No Content\r\n\r\n",
  "HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
  "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
  "garbage\r\n\r\n",
];

type Act =
  | { readonly who: "caller" | "app" | "ledger"; readonly does: "send"; readonly text: string; readonly cut: number }
  | { readonly who: "caller" | "app" | "ledger"; readonly does: "end" | "reset" | "pause" | "resume" }
  | { readonly who: "mesh"; readonly does: "deny" | "allow" | "rotate" | "expire" | "wait" };

const ACT: fc.Arbitrary<Act> = fc.oneof(
  { weight: 6, arbitrary: sending("caller", REQUESTS) },
  { weight: 6, arbitrary: sending("app", ANSWERS) },
  { weight: 1, arbitrary: sending("ledger", ["data"]) },
  {
    weight: 2,
    arbitrary: fc.record({
      who: fc.constantFrom("caller" as const, "app" as const, "ledger" as const),
      does: fc.constantFrom("end" as const, "reset" as const, "pause" as const, "resume" as const),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      who: fc.constant("mesh" as const),
      does: fc.constantFrom("deny" as const, "allow" as const, "rotate" as const, "expire" as const, "wait" as const),
    }),
  },
);

describe.each(BETWEEN)("in any disorder, with %s between the sidecars", (between) => {
  it("nothing crashes, nothing is left open, and what reached an app has its one record", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(ACT, { minLength: 3, maxLength: 25 }), async (acts) => {
        const mesh = await openSimMesh({ between });
        const callers: Collected<SimConnection>[] = [];
        for (const act of acts) await perform(act, mesh, callers);
        await finish(mesh, callers);
        expect(mesh.web.sidecar.connectionCount).toBe(0);
        expect(mesh.orders.sidecar.connectionCount).toBe(0);
        expect(mesh.network.openCount).toBe(0);
        const flows = mesh.flows();
        expect(new Set(flows.map((flow) => flow.id)).size).toBe(flows.length);
        expect(flows.filter((flow) => flow.reason === "internal")).toEqual([]);
        // Each request that reached the app bears the span of the one record that tells of it.
        for (const span of spansAt(mesh.ordersApp)) {
          expect(mesh.orders.flows.filter((flow) => flow.spanId === span)).toHaveLength(1);
        }
        if (mesh.ledgerApp.length > 0) {
          const tunnels = mesh.orders.flows.filter((flow) => flow.protocol === "tcp" && flow.upstreamPort !== null);
          expect(tunnels).toHaveLength(mesh.ledgerApp.length);
        }
      }),
      { numRuns: 150, seed: 20_261_122 },
    );
  }, 60_000);
});

function spansAt(apps: readonly Collected[]): ReadonlySet<string> {
  const text = apps.map((app) => app.text()).join("");
  return new Set([...text.matchAll(/traceparent: 00-[0-9a-f]{32}-([0-9a-f]{16})/g)].map((match) => match[1]!));
}

function sending(who: "caller" | "app" | "ledger", texts: readonly string[]): fc.Arbitrary<Act> {
  return fc.record({
    who: fc.constant(who),
    does: fc.constant("send" as const),
    text: fc.constantFrom(...texts),
    // Often whole, at times only its beginning.
    cut: fc.oneof(
      { weight: 4, arbitrary: fc.constant(1_000) },
      { weight: 1, arbitrary: fc.integer({ min: 1, max: 60 }) },
    ),
  });
}

async function perform(act: Act, mesh: SimMesh, callers: Collected<SimConnection>[]): Promise<void> {
  if (act.who === "mesh") await performMesh(act.does, mesh);
  else {
    const connection = await connectionOf(act.who, mesh, callers);
    if (connection === null) return;
    if (act.does === "send") connection.write(Buffer.from(act.text.slice(0, act.cut)));
    else if (act.does === "reset") connection.destroy({ reset: true });
    else connection[act.does]();
  }
  await mesh.settle();
}

async function connectionOf(
  who: "caller" | "app" | "ledger",
  mesh: SimMesh,
  callers: Collected<SimConnection>[],
): Promise<SimConnection | null> {
  if (who === "app") return mesh.ordersApp.at(-1)?.connection ?? null;
  if (who === "ledger") return mesh.ledgerApp.at(-1)?.connection ?? null;
  const last = callers.at(-1);
  if (last !== undefined && !last.isClosed && !last.isEnded) return last.connection;
  callers.push(await mesh.call(mesh.proxy));
  return callers.at(-1)!.connection;
}

async function performMesh(does: "deny" | "allow" | "rotate" | "expire" | "wait", mesh: SimMesh): Promise<void> {
  switch (does) {
    case "deny":
      mesh.orders.policy.set(policySetOf([], {}, "deny"));
      break;
    case "allow":
      mesh.orders.policy.set(policySetOf([WEB_MAY]));
      break;
    case "rotate":
      mesh.web.identity.set(mesh.authority.issue(shopId("web"), { nowMs: mesh.clock.wallMs() }));
      mesh.orders.identity.set(mesh.authority.issue(shopId("orders"), { nowMs: mesh.clock.wallMs() }));
      break;
    case "expire":
      mesh.web.identity.set(mesh.authority.issue(shopId("web"), { notAfterMs: mesh.clock.wallMs() + 2_000 }));
      break;
    case "wait":
      await mesh.pass(3_000);
      break;
  }
}

/** Everybody hangs up, and the time passes in which all must be over. */
async function finish(mesh: SimMesh, callers: readonly Collected<SimConnection>[]): Promise<void> {
  // What waited behind a request may reach an app only now, so those hang up more than once.
  for (let round = 0; round < 5; round++) {
    for (const { connection } of [...callers, ...mesh.ordersApp, ...mesh.ledgerApp]) connection.destroy();
    await mesh.settle();
  }
  mesh.clock.advance(LIMITS.streamIdleMs + LIMITS.keepAliveIdleMs);
  await mesh.settle();
  mesh.clock.advance(LIMITS.lingerMs + 1_000);
  await mesh.settle();
}
