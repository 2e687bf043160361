import type { CompareArguments } from "./arguments.ts";
import { type Load, LOADS } from "./loads.ts";
import { openSides } from "./open-sides.ts";
import { OURS } from "./ours.ts";
import { chooseRounds, peersFor, sidesFor, TurnTime } from "./quick-budget.ts";
import { type LoadResult, measureIdle, runLoad, START_LOAD } from "./rounds.ts";
import type { RunningSide } from "./side.ts";

/** Unmeasured: code that is compiled as it runs is not at its speed at once, and connections have to be opened. */
const WARM_UP = ["get-50", "grpc-unary", "grpc-stream", "tcp-down", "tcp-up", "handshakes"];
/** Ours, because it is compiled as it runs; the others have been. */
const OUR_WARM_UP_SEC: Readonly<Record<string, number>> = { "get-50": 5 };
const WARM_UP_SEC = 1;

/** All rounds of all loads, and whose they are; the sides have ended. */
export interface Comparing {
  readonly results: readonly LoadResult[];
  readonly sides: readonly RunningSide[];
  readonly turnTime: TurnTime;
}

/** Everything but the loads with packet loss, which run elsewhere. */
export async function compareAll(
  wanted: CompareArguments,
  directory: string,
  report: (line: string) => void,
): Promise<Comparing> {
  const loads = LOADS.filter(({ name }) => wanted.loads.includes(name));
  const isStarting = wanted.loads.includes(START_LOAD.name);
  const peers = peersFor(isStarting ? [START_LOAD, ...loads] : loads, wanted);
  const turnTime = new TurnTime();
  const budget = { ...wanted, turnTime };
  const opened = await openSides({ directory, peers, report });
  try {
    const { sides } = opened;
    const results: LoadResult[] = [measureIdle(sides)];
    if (isStarting) {
      report(START_LOAD.summary);
      results.push(
        await runLoad(START_LOAD, sidesFor(START_LOAD, sides, wanted.isQuick), {
          ...wanted,
          rounds: chooseRounds(loads, sides, budget),
          report,
        }),
      );
    }
    report("warming up");
    await warmUp(sides, loads, wanted.isQuick);
    for (const [i, load] of loads.entries()) {
      const rounds = chooseRounds(loads.slice(i), sides, budget);
      const taking = sidesFor(load, sides, wanted.isQuick);
      const beganMs = performance.now();
      report(`${load.summary}${rounds < wanted.rounds ? `: ${rounds} rounds, for the time's sake` : ""}`);
      results.push(await runLoad(load, taking, { ...wanted, rounds, report }));
      const secondsEach = Math.max(load.secondsMin, wanted.secondsPerRound);
      turnTime.add(rounds * taking.length, (performance.now() - beganMs) / 1_000, secondsEach);
    }
    return { results, sides, turnTime };
  } finally {
    await opened.close();
  }
}

/** Only with what is measured afterwards. */
async function warmUp(sides: readonly RunningSide[], loads: readonly Load[], isQuick: boolean): Promise<void> {
  const carried = new Set(loads.map((load) => load.carried));
  for (const load of LOADS.filter((each) => WARM_UP.includes(each.name) && carried.has(each.carried))) {
    for (const side of sidesFor(load, sides, isQuick)) {
      const isOurs = side.name === OURS;
      // Theirs need their connections and no more, which one load brings.
      if (isQuick && !isOurs && load.name !== WARM_UP[0]) continue;
      await load.measure(side, isOurs ? (OUR_WARM_UP_SEC[load.name] ?? WARM_UP_SEC) : WARM_UP_SEC);
    }
  }
}
