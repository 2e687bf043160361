import { LIMITS } from "../../src/core/limits.ts";
import { SeededRandom } from "../fuzz/random.ts";
import { DEFAULT_PORT_TRAFFIC } from "../../src/traffic/default-traffic.ts";
import { openSimMesh, SIM_START_MS, type SimMesh } from "../support/sim-mesh.ts";
import { createTestAuthority, keepIssued } from "../support/test-authority.ts";
import { LEDGER_PORT, policy, policySetOf } from "../support/test-mesh.ts";
import { retryOn, routeTo } from "../support/traffic-mesh.ts";
import { seededRandom } from "../support/traffic.ts";
import { type App, openApp } from "./app.ts";
import { openCaller } from "./caller.ts";
import { faultsOf } from "./expected.ts";
import { faultsOfTunnel, type ObservedTunnel, tcpFlowFaultsOf } from "./expected-tunnels.ts";
import { pathOf, type Plan, type World } from "./plan.ts";
import type { AnswerSeen } from "./seen.ts";
import { type Ledger, openLedger } from "./tunnel-app.ts";
import { openTunnelCaller } from "./tunnel-caller.ts";
import type { TunnelSeen } from "./tunnel-end.ts";
import { type TunnelPlan, tunnelPathOf } from "./tunnel-plan.ts";
import { afterTurns } from "./writing.ts";

/** Everything but `/denied/`, and in one of them opaque connections. */
const NOT_DENIED = policy("not-denied", {
  action: "ALLOW",
  rules: [{ to: [{ operation: { notPaths: ["/denied/*"] } }] }],
});
const LEDGER = policy("ledger", { action: "ALLOW", rules: [{ to: [{ operation: { ports: [`${LEDGER_PORT}`] } }] }] });
const DENIES_TCP = policySetOf([NOT_DENIED]);
const PERMITS_TCP = policySetOf([NOT_DENIED, LEDGER]);
/** Whose keys take longer to make than many a world takes to play. */
const AUTHORITY = keepIssued(createTestAuthority("cluster.local", SIM_START_MS));
/** More than any case needs; what is not over by then is stuck. */
const ROUNDS_MAX = 10_000;
const QUICK_ROUNDS = 300;
/** An app that reads slowly what it has got of a request that is over. */
const LINGERING_ROUNDS_MAX = 4_000;

/** Of what has to pass for a retry to be made, in each round. */
const RETRY_STEP_MS = 5;
/** As long as a world may take. */
const DRAIN_TIMEOUT_MS = 3_600_000;

/** Plays a world to its end; every difference from what is expected, in words. */
export async function playWorld(world: World): Promise<string[]> {
  const mesh = await openWorldMesh(world);
  const app = openApp(world);
  mesh.onOrdersApp((connection) => app.accept(connection));
  const ledger = openLedger(world.tunnels);
  mesh.onLedgerApp((connection) => ledger.accept(connection));
  const caller = await openCaller(mesh.network, mesh.toOrders, world);
  const tunnelCaller = await openTunnelCaller(mesh, world, caller.session);
  const over = new Set<Plan | TunnelPlan>();
  const count = world.exchanges.length + world.tunnels.length;
  const isOver = (): boolean => over.size === count;
  const answers: AnswerSeen[] = [];
  world.exchanges.forEach((plan, index) => {
    afterTurns(plan.delayTurns, () => {
      answers[index] = caller.send(plan, index, () => over.add(plan));
    });
  });
  const tunnels: TunnelSeen[] = [];
  world.tunnels.forEach((plan, index) => {
    afterTurns(plan.delayTurns, () => {
      tunnels[index] = tunnelCaller.open(plan, index, () => over.add(plan));
    });
  });
  const drain = planDrain(world, mesh, app);
  for (let round = 0; !isOver() && round < ROUNDS_MAX; round++) {
    await mesh.settle();
    if (world.retry !== null) mesh.clock.advance(RETRY_STEP_MS);
    // Whoever is answered before it has sent all is waited for only so long.
    if (round > QUICK_ROUNDS && round % 50 === 0) mesh.clock.advance(500);
  }
  const stuck = isOver() ? [] : [`${count - over.size} exchanges or tunnels are stuck`];
  const isOpen = (): boolean => [...app.seen, ...app.tunnels, ...ledger.seen].some(({ end }) => end === "open");
  // What a caller has got whole may not be over for the sidecars yet.
  for (let round = 0; round < 10 || (isOpen() && round < LINGERING_ROUNDS_MAX); round++) await mesh.settle();
  const lingering = isOpen() ? ["a request or tunnel stays open at the app"] : [];
  caller.close();
  tunnelCaller.close();
  app.close();
  ledger.close();
  await mesh.settle();
  const leftovers = await leftoversOf(mesh);
  const played = { mesh, app, ledger, answers, tunnels, seenAtDrain: drain.seen };
  const undrained = drain.isOver() ? [] : ["a sidecar does not finish draining"];
  return [...stuck, ...lingering, ...faultsIn(world, played), ...leftovers, ...undrained];
}

async function openWorldMesh({ seed, between, app, settings, retry }: World): Promise<SimMesh> {
  const mesh = await openSimMesh({
    authority: AUTHORITY,
    disorder: new SeededRandom(seed),
    // By which retries wait: a world is to come out the same each time.
    random: seededRandom(seed),
    between,
    hbone: settings.usesHbone && between === "h2",
    ordersProtocol: app === "h2" ? "HTTP2" : "HTTP",
    policy: settings.permitsTcp ? PERMITS_TCP : DENIES_TCP,
    drainTimeoutMs: DRAIN_TIMEOUT_MS,
  });
  if (retry !== null) {
    const route = routeTo({ retry: retryOn([retry.on], { attempts: retry.attempts }) });
    const service = { ports: new Map(), default: { ...DEFAULT_PORT_TRAFFIC, routes: [route] } };
    const byService = new Map([["orders.shop.svc.cluster.local", service]]);
    mesh.web.traffic.set({ revision: "model", byService, bySuffix: new Map() });
  }
  return mesh;
}

interface Draining {
  /** Indices of the exchanges that the app had seen when the drain began; null: it has not. */
  readonly seen: ReadonlySet<number> | null;
  isOver(): boolean;
}

function planDrain({ drain }: World, mesh: SimMesh, app: App): Draining {
  let seen: Set<number> | null = null;
  let isOver = true;
  if (drain !== null) {
    afterTurns(drain.afterTurns, () => {
      seen = new Set(app.seen.map(({ index }) => index));
      isOver = false;
      const drained = drain.of === "caller" ? mesh.web : mesh.orders;
      void drained.sidecar.drain().then(() => (isOver = true));
    });
  }
  return {
    get seen() {
      return seen;
    },
    isOver: () => isOver,
  };
}

interface Played {
  readonly mesh: SimMesh;
  readonly app: App;
  readonly ledger: Ledger;
  readonly answers: readonly AnswerSeen[];
  readonly tunnels: readonly TunnelSeen[];
  readonly seenAtDrain: ReadonlySet<number> | null;
}

function faultsIn(world: World, played: Played): string[] {
  return [...exchangeFaultsIn(world, played), ...tunnelFaultsIn(world, played)];
}

function exchangeFaultsIn(world: World, { mesh, app, answers, seenAtDrain }: Played): string[] {
  return world.exchanges.flatMap((plan, index) => {
    const path = pathOf(plan, index);
    const observed = {
      answer: answers[index]!,
      requests: app.seen.filter((request) => request.index === index),
      sourceFlows: mesh.web.flows.filter((flow) => flow.path === path),
      destinationFlows: mesh.orders.flows.filter((flow) => flow.path === path),
    };
    const isBeforeDrain = seenAtDrain === null || seenAtDrain.has(index);
    return faultsOf(index, observed, { world, isBeforeDrain }).map((fault) => `${path}: not so: ${fault}`);
  });
}

function tunnelFaultsIn(world: World, { mesh, app, ledger, tunnels }: Played): string[] {
  const all = world.tunnels.map((plan, index): readonly [TunnelPlan, ObservedTunnel] => {
    const path = plan.kind === "websocket" ? tunnelPathOf(plan, index) : null;
    const apps = plan.kind === "websocket" ? app.tunnels : ledger.seen;
    return [
      plan,
      {
        caller: tunnels[index]!,
        apps: apps.filter((seen) => seen.index === index),
        sourceFlows: mesh.web.flows.filter((flow) => path !== null && flow.path === path),
        destinationFlows: mesh.orders.flows.filter((flow) => path !== null && flow.path === path),
      },
    ];
  });
  const faults = all.flatMap(([plan, seen], index) =>
    faultsOfTunnel(plan, seen, world).map((fault) => `${plan.kind} ${index}: not so: ${fault}`),
  );
  const told = { "the caller's": mesh.web.flows, "the app's": mesh.orders.flows };
  const opaque = Object.entries(told).flatMap(([side, flows]) =>
    tcpFlowFaultsOf(flows, all).map((fault) => `${side} sidecar: not so: ${fault}`),
  );
  return [...faults, ...opaque];
}

/** When everybody has hung up, and time has passed, nothing is left. */
async function leftoversOf(mesh: SimMesh): Promise<string[]> {
  mesh.clock.advance(LIMITS.streamIdleMs + LIMITS.keepAliveIdleMs);
  await mesh.settle();
  mesh.clock.advance(LIMITS.lingerMs + 1_000);
  await mesh.settle();
  const counts = {
    "connections of the caller's sidecar": mesh.web.sidecar.connectionCount,
    "connections of the app's sidecar": mesh.orders.sidecar.connectionCount,
    "ends of connections": mesh.network.openCount,
  };
  return Object.entries(counts).flatMap(([what, count]) => (count === 0 ? [] : [`${count} ${what} are left`]));
}
