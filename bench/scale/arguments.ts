import { parseArgs } from "node:util";
import type { WorldSize } from "./world.ts";

/** What one run is to do. */
export interface ScaleArguments extends WorldSize {
  readonly task: "churn" | "issue" | "renewals" | "policies";
  /** Changes of each kind together. */
  readonly changes: number;
  /** How long certificates are issued for. */
  readonly seconds: number;
  /** Sidecars that stop reading. */
  readonly slow: number;
  readonly jsonFile: string | null;
  /** The result is put into bench/scale/README.md. */
  readonly isForReadme: boolean;
}

export const USAGE = `npm run bench:scale -- [--sidecars N] [--services N] [--policies N] [--changes N] [--slow N] [--json FILE] [--readme]
npm run bench:scale -- --issue [--sidecars N] [--seconds N]
npm run bench:scale -- --renewals [--sidecars N]
npm run bench:scale -- --compile [--policies N] [--sidecars N]`;

const COUNT_MAX = 100_000;

/** Command line → what to do. Errors: in a sentence, for what is no number. */
export function parseScaleArguments(words: readonly string[]): ScaleArguments {
  const string = { type: "string" } as const;
  const boolean = { type: "boolean" } as const;
  const { values } = parseArgs({
    args: [...words],
    options: {
      issue: boolean,
      renewals: boolean,
      compile: boolean,
      readme: boolean,
      json: string,
      sidecars: string,
      services: string,
      policies: string,
      changes: string,
      seconds: string,
      slow: string,
    },
  });
  const tasks = (["issue", "renewals", "compile"] as const).filter((each) => values[each] === true);
  if (tasks.length > 1) throw new Error(`--${tasks.join(" and --")} are two runs`);
  const count = (name: "sidecars" | "services" | "policies" | "changes" | "seconds" | "slow", usual: number): number =>
    countOf(`--${name}`, values[name], usual);
  return {
    task: tasks[0] === "compile" ? "policies" : (tasks[0] ?? "churn"),
    sidecars: count("sidecars", tasks[0] === "renewals" ? 10_000 : tasks[0] === "issue" ? 64 : 1_000),
    services: count("services", 500),
    policies: count("policies", tasks[0] === "compile" ? 10_000 : 100),
    changes: count("changes", 200),
    seconds: count("seconds", 10),
    slow: count("slow", 10),
    jsonFile: values.json ?? null,
    isForReadme: values.readme === true,
  };
}

function countOf(flag: string, text: string | undefined, usual: number): number {
  if (text === undefined) return usual;
  const count = /^\d+$/.test(text) ? Number(text) : 0;
  if (count < 1 || count > COUNT_MAX)
    throw new Error(`${flag}: expected a whole number from 1 to ${COUNT_MAX}, found ${text}`);
  return count;
}
