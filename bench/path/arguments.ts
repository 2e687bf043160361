import { parseArgs } from "node:util";

/** What one run of the bench is to do. */
export type BenchArguments = CompareArguments | SoakArguments | TelemetryArguments;

/** Ours beside the peers. */
export interface CompareArguments {
  readonly task: "compare";
  readonly jsonFile: string | null;
  /** The result is put into bench/README.md. */
  readonly isForReadme: boolean;
  /** Names, in the order of the tables; all where none were asked for. */
  readonly loads: readonly string[];
  readonly peers: readonly string[];
  /** Each load with the peers that the bar names for it, and no others. */
  readonly isQuick: boolean;
  readonly rounds: number;
  readonly secondsPerRound: number;
}

/** Ours alone, for long. */
export interface SoakArguments {
  readonly task: "soak";
  readonly jsonFile: string | null;
  readonly isForReadme: boolean;
  readonly minutes: number;
}

/** Ours alone, with more and less of telemetry. */
export interface TelemetryArguments {
  readonly task: "telemetry";
  readonly jsonFile: string | null;
  readonly isForReadme: boolean;
  readonly rounds: number;
  readonly secondsPerRound: number;
}

export const USAGE = `npm run bench -- [--quick] [--json FILE] [--readme] [--loads A,B] [--peers A,B] [--rounds N] [--seconds N]
npm run bench -- --soak [--minutes N] [--json FILE] [--readme]
npm run bench -- --telemetry [--rounds N] [--seconds N] [--json FILE] [--readme]`;

const FULL = { rounds: 5, secondsPerRound: 3 };
const QUICK = { rounds: 3, secondsPerRound: 1 };
const TELEMETRY = { rounds: 15, secondsPerRound: 1 };
const SOAK_MINUTES = 10;
const ROUNDS_MAX = 100;
const SECONDS_MAX = 600;
const MINUTES_MAX = 24 * 60;

/** Command line → what to do. Errors: in a sentence, for names and numbers that are none. */
export function parseBenchArguments(
  words: readonly string[],
  known: { readonly loads: readonly string[]; readonly peers: readonly string[] },
): BenchArguments {
  const string = { type: "string" } as const;
  const boolean = { type: "boolean" } as const;
  const { values } = parseArgs({
    args: [...words],
    options: {
      quick: boolean,
      soak: boolean,
      telemetry: boolean,
      readme: boolean,
      json: string,
      loads: string,
      peers: string,
      rounds: string,
      seconds: string,
      minutes: string,
    },
  });
  const common = { jsonFile: values.json ?? null, isForReadme: values.readme === true };
  if (values.soak === true) {
    refuseBeside("--soak", values, ["telemetry", "quick", "loads", "peers", "rounds", "seconds"]);
    const minutes = parseCount("--minutes", values.minutes, { usual: SOAK_MINUTES, max: MINUTES_MAX });
    return { task: "soak", ...common, minutes };
  }
  refuseBeside("no --soak", values, ["minutes"]);
  if (values.telemetry === true) {
    refuseBeside("--telemetry", values, ["quick", "loads", "peers"]);
    return { task: "telemetry", ...common, ...parseRounds(values, TELEMETRY) };
  }
  const isQuick = values.quick === true;
  return {
    task: "compare",
    ...common,
    isQuick: isQuick && values.peers === undefined,
    loads: parseNames("--loads", values.loads, known.loads),
    peers: parseNames("--peers", values.peers, known.peers),
    ...parseRounds(values, isQuick ? QUICK : FULL),
  };
}

type Rounds = Pick<CompareArguments, "rounds" | "secondsPerRound">;

function parseRounds(values: { readonly rounds?: string; readonly seconds?: string }, usual: Rounds): Rounds {
  return {
    rounds: parseCount("--rounds", values.rounds, { usual: usual.rounds, max: ROUNDS_MAX }),
    secondsPerRound: parseCount("--seconds", values.seconds, { usual: usual.secondsPerRound, max: SECONDS_MAX }),
  };
}

function refuseBeside(what: string, values: Readonly<Record<string, unknown>>, names: readonly string[]): void {
  const strange = names.filter((name) => values[name] !== undefined);
  if (strange.length > 0) throw new Error(`--${strange.join(", --")} means nothing with ${what}`);
}

function parseNames(flag: string, text: string | undefined, known: readonly string[]): readonly string[] {
  if (text === undefined) return known;
  const names = text.split(",").filter((name) => name !== "");
  const strange = names.filter((name) => !known.includes(name));
  if (strange.length > 0) throw new Error(`${flag}: there is no ${strange.join(", ")}; there are ${known.join(", ")}`);
  return known.filter((name) => names.includes(name));
}

function parseCount(flag: string, text: string | undefined, { usual, max }: { usual: number; max: number }): number {
  if (text === undefined) return usual;
  const count = /^\d+$/.test(text) ? Number(text) : 0;
  if (count < 1 || count > max) throw new Error(`${flag}: expected a whole number from 1 to ${max}, found ${text}`);
  return count;
}
