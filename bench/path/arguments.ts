import { parseArgs } from "node:util";

/** What one run of the bench is to do. */
export interface BenchArguments {
  readonly jsonFile: string | null;
  /** Names, in the order of the tables; all where none were asked for. */
  readonly loads: readonly string[];
  readonly peers: readonly string[];
  readonly rounds: number;
  readonly secondsPerRound: number;
}

export const USAGE = `npm run bench -- [--quick] [--json FILE] [--loads A,B] [--peers A,B] [--rounds N] [--seconds N]`;

const FULL = { rounds: 5, secondsPerRound: 5 };
const QUICK = { rounds: 3, secondsPerRound: 1 };
const ROUNDS_MAX = 100;
const SECONDS_MAX = 600;

/** Command line → what to do. Errors: in a sentence, for names and numbers that are none. */
export function parseBenchArguments(
  words: readonly string[],
  known: { readonly loads: readonly string[]; readonly peers: readonly string[] },
): BenchArguments {
  const string = { type: "string" } as const;
  const { values } = parseArgs({
    args: [...words],
    options: {
      quick: { type: "boolean" },
      json: string,
      loads: string,
      peers: string,
      rounds: string,
      seconds: string,
    },
  });
  const isQuick = values.quick === true;
  const usual = isQuick ? QUICK : FULL;
  return {
    jsonFile: values.json ?? null,
    loads: parseNames("--loads", values.loads, known.loads),
    peers: parseNames("--peers", values.peers, known.peers),
    rounds: parseCount("--rounds", values.rounds, { usual: usual.rounds, max: ROUNDS_MAX }),
    secondsPerRound: parseCount("--seconds", values.seconds, { usual: usual.secondsPerRound, max: SECONDS_MAX }),
  };
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
