import { LIMITS } from "../../src/core/limits.ts";
import { SeededRandom } from "../fuzz/random.ts";
import { openSimMesh, type SimMesh } from "../support/sim-mesh.ts";
import { policy, policySetOf } from "../support/test-mesh.ts";
import { type App, openApp } from "./app.ts";
import { openCaller } from "./caller.ts";
import { faultsOf, mayMeetItsEnd } from "./expected.ts";
import { pathOf, type World } from "./plan.ts";
import type { AnswerSeen } from "./seen.ts";
import { afterTurns } from "./writing.ts";

/** Everything but `/denied/`. */
const POLICY = policySetOf([
  policy("not-denied", { action: "ALLOW", rules: [{ to: [{ operation: { notPaths: ["/denied/*"] } }] }] }),
]);
/** More than any case needs; what is not over by then is stuck. */
const ROUNDS_MAX = 10_000;
const QUICK_ROUNDS = 300;
/** An app that reads slowly what it has got of a request that is over. */
const LINGERING_ROUNDS_MAX = 1_000;

/** Plays a world to its end; every difference from what is expected, in words. */
export async function playWorld(world: World): Promise<string[]> {
  const mesh = await openSimMesh({
    disorder: new SeededRandom(world.seed),
    between: world.between,
    ordersProtocol: world.app === "h2" ? "HTTP2" : "HTTP",
    policy: POLICY,
  });
  const app = openApp(world);
  mesh.onOrdersApp((connection) => app.accept(connection));
  const caller = await openCaller(mesh.network, mesh.toOrders, world);
  const over = new Set<number>();
  const isOver = (): boolean => over.size === world.exchanges.length;
  const answers: AnswerSeen[] = [];
  world.exchanges.forEach((plan, index) => {
    afterTurns(plan.delayTurns, () => {
      answers[index] = caller.send(plan, index, () => over.add(index));
    });
  });
  for (let round = 0; !isOver() && round < ROUNDS_MAX; round++) {
    await mesh.settle();
    // Whoever is answered before it has sent all is waited for only so long.
    if (round > QUICK_ROUNDS && round % 50 === 0) mesh.clock.advance(500);
  }
  const stuck = isOver() ? [] : [`${world.exchanges.length - over.size} exchanges are stuck`];
  const isOpen = (): boolean => app.seen.some(({ end }) => end === "open");
  // What a caller has got whole may not be over for the sidecars yet.
  for (let round = 0; round < 10 || (isOpen() && round < LINGERING_ROUNDS_MAX); round++) await mesh.settle();
  const lingering = isOpen() ? ["a request stays open at the app"] : [];
  caller.close();
  app.close();
  await mesh.settle();
  const leftovers = await leftoversOf(mesh);
  return [...stuck, ...lingering, ...faultsIn(world, { mesh, app, answers }), ...leftovers];
}

interface Played {
  readonly mesh: SimMesh;
  readonly app: App;
  readonly answers: readonly AnswerSeen[];
}

function faultsIn(world: World, { mesh, app, answers }: Played): string[] {
  return world.exchanges.flatMap((plan, index) => {
    const path = pathOf(plan, index);
    const observed = {
      answer: answers[index]!,
      requests: app.seen.filter((request) => request.index === index),
      sourceFlows: mesh.web.flows.filter((flow) => flow.path === path),
      destinationFlows: mesh.orders.flows.filter((flow) => flow.path === path),
    };
    return faultsOf(plan, observed, mayMeetItsEnd(world, index)).map((fault) => `${path}: not so: ${fault}`);
  });
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
