import { expect, test } from "vitest";
import { LOADS, LOSS_LOADS } from "../../../bench/path/loads.ts";
import { OURS } from "../../../bench/path/ours.ts";
import { peersFor, roundsThatFit, sidesFor, TurnTime } from "../../../bench/path/quick-budget.ts";
import { START_LOAD } from "../../../bench/path/rounds.ts";
import type { Ports, RunningSide } from "../../../bench/path/side.ts";

const ALL_PORTS: Ports = { http: 1, grpc: 2, tcp: 3, fresh: 4 };

function sideOf(name: string, ports: Partial<Ports> = {}): RunningSide {
  return {
    name,
    version: "1",
    ports: { ...ALL_PORTS, ...ports },
    betweenPort: 5,
    pids: () => [],
    restartCaller: () => Promise.reject(new Error("not in this test")),
    close: () => Promise.resolve(),
  };
}

const SIDES = [
  sideOf(OURS),
  sideOf("envoy"),
  sideOf("nginx", { tcp: null, fresh: null }),
  sideOf("ghostunnel", { http: null, grpc: null }),
];

function takingPart(loadName: string, isQuick: boolean): readonly string[] {
  const load = [START_LOAD, ...LOADS, ...LOSS_LOADS].find(({ name }) => name === loadName)!;
  return sidesFor(load, SIDES, isQuick).map(({ name }) => name);
}

test.each([
  ["get-1", false, [OURS, "envoy", "nginx"]],
  ["get-1", true, [OURS, "envoy"]],
  ["get-50", true, [OURS, "envoy", "nginx"]],
  ["tcp-up", false, [OURS, "envoy", "ghostunnel"]],
  ["tcp-up", true, [OURS, "envoy"]],
  ["handshakes", true, [OURS, "envoy"]],
  ["start", false, [OURS, "envoy", "nginx", "ghostunnel"]],
])("%s, quick %j, is for %j", (load, isQuick, names) => {
  expect(takingPart(load, isQuick)).toEqual(names);
});

test("a quick run starts whom one of its loads is for", () => {
  const loads = LOADS.filter(({ name }) => name === "get-1" || name === "tcp-up");
  const peers = ["envoy", "haproxy-h1", "nginx", "ghostunnel"];
  expect(peersFor(loads, { isQuick: true, peers })).toEqual(["envoy", "haproxy-h1"]);
  expect(peersFor(loads, { isQuick: false, peers })).toEqual(peers);
});

const WANTED = { rounds: 3, secondsPerRound: 1, extraSec: 0.3 };
/** Four sides for a second, two for three: 4 × 1.3 + 2 × 3.3 s a round. */
const LEFT = [
  { load: { secondsMin: 1 }, sides: 4 },
  { load: { secondsMin: 3 }, sides: 2 },
];

test.each([
  [100, 3],
  [36, 3],
  [35, 2],
  [24, 2],
  [23, 1],
  [1, 1],
  [-5, 1],
])("in %i s there is time for %i rounds", (leftSec, rounds) => {
  expect(roundsThatFit(LEFT, { ...WANTED, leftSec })).toBe(rounds);
});

test("what a turn costs beyond its seconds is learned from those that were taken", () => {
  const turnTime = new TurnTime();
  expect(turnTime.extraSec()).toBeGreaterThan(0);
  turnTime.add(10, 13, 1);
  expect(turnTime.extraSec()).toBeCloseTo(0.3);
  turnTime.add(10, 31, 3);
  expect(turnTime.extraSec()).toBeCloseTo(0.2);
  // A turn that ends early gives no time to others.
  turnTime.add(20, 0, 1);
  expect(turnTime.extraSec()).toBeCloseTo(0.1);
});
