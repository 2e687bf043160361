import type { CompareArguments } from "./arguments.ts";
import { type Load, LOSS_LOADS } from "./loads.ts";
import { OURS } from "./ours.ts";
import type { RunningSide } from "./side.ts";

/** A quick run is over within four minutes, on a busy machine too: where not all rounds fit, there are fewer. */
const QUICK_SEC = 222;
/** For starting the sides of the loads with packet loss, and for ending. */
const LOSS_EXTRA_SEC = 12;

/** How long a side's turn takes beyond its seconds, since a client has to be started: what it took so far. */
export class TurnTime {
  #turns = 0;
  #extraSec = 0;

  /** Some turns have been taken. */
  add(turns: number, tookSec: number, secondsEach: number): void {
    this.#turns += turns;
    this.#extraSec += Math.max(0, tookSec - turns * secondsEach);
  }

  /** Before there were any: what it is on a quiet machine. */
  extraSec(): number {
    return this.#turns === 0 ? FIRST_EXTRA_SEC : this.#extraSec / this.#turns;
  }
}

const FIRST_EXTRA_SEC = 0.2;

/** Who takes part in a load: all who can, or in a quick run whom the bar names. */
export function sidesFor(load: Load, sides: readonly RunningSide[], isQuick: boolean): readonly RunningSide[] {
  const able = sides.filter((side) => load.carried === "any" || side.ports[load.carried] !== null);
  return isQuick ? able.filter(({ name }) => name === OURS || load.quickPeers.includes(name)) : able;
}

/** Which peers are to be started: a quick run does without those that none of its loads is for. */
export function peersFor(
  loads: readonly Load[],
  wanted: Pick<CompareArguments, "isQuick" | "peers">,
): readonly string[] {
  const named = new Set(loads.flatMap((load) => load.quickPeers));
  return wanted.isQuick ? wanted.peers.filter((peer) => named.has(peer)) : wanted.peers;
}

/** How many rounds the next load gets, when `left` is it and those after it. The clock began with the process. */
export function chooseRounds(
  left: readonly Load[],
  sides: readonly RunningSide[],
  wanted: Pick<CompareArguments, "isQuick" | "loads" | "rounds" | "secondsPerRound"> & { readonly turnTime: TurnTime },
): number {
  if (!wanted.isQuick) return wanted.rounds;
  const lossy = LOSS_LOADS.filter(
    ({ name }) => wanted.loads.includes(name) && !left.some((load) => load.name === name),
  );
  const all = [...left, ...lossy].map((load) => ({ load, sides: sidesFor(load, sides, true).length }));
  const spentSec = performance.now() / 1_000 + (lossy.length > 0 ? LOSS_EXTRA_SEC : 0);
  return roundsThatFit(all, { ...wanted, extraSec: wanted.turnTime.extraSec(), leftSec: QUICK_SEC - spentSec });
}

/** How many rounds of all these loads fit into the time that is left: one at least, and no more than are wanted. */
export function roundsThatFit(
  left: readonly { readonly load: Pick<Load, "secondsMin">; readonly sides: number }[],
  options: { rounds: number; secondsPerRound: number; extraSec: number; leftSec: number },
): number {
  const { rounds, secondsPerRound, extraSec, leftSec } = options;
  const roundSec = left.reduce(
    (sum, { load, sides }) => sum + sides * (Math.max(load.secondsMin, secondsPerRound) + extraSec),
    0,
  );
  return Math.max(1, Math.min(rounds, Math.floor(leftSec / roundSec)));
}
