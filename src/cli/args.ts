import { CardeaError } from "../core/errors.ts";
import { closestWord } from "../core/closest-word.ts";
import type { Command, Flag, ParsedArgs } from "./command.ts";

/** Words after the command's name → its arguments. Errors: `bad-input`, with what was meant where that is clear. */
export function parseArgs(
  command: Pick<Command, "name" | "usage" | "flags" | "positional">,
  words: readonly string[],
): ParsedArgs {
  const positional: string[] = [];
  const given = new Map<Flag, string[]>();
  const end = words.indexOf("--");
  const own = end < 0 ? words : words.slice(0, end);
  for (let index = 0; index < own.length; index++) {
    const word = own[index]!;
    if (!word.startsWith("-") || word === "-") {
      positional.push(word);
      continue;
    }
    const { flag, inline } = findFlag(command.flags, word);
    const takesNext = flag.value !== null && inline === undefined;
    if (takesNext) index++;
    addValue(given, flag, readValue(flag, inline, takesNext ? own[index] : undefined));
  }
  assertCount(command, positional);
  return toParsedArgs(command.flags, given, positional, end < 0 ? [] : words.slice(end + 1));
}

function findFlag(flags: readonly Flag[], word: string): { flag: Flag; inline: string | undefined } {
  const equals = word.startsWith("--") ? word.indexOf("=") : -1;
  const name = equals < 0 ? word : word.slice(0, equals);
  const flag = flags.find(
    (each) => name === `--${each.name}` || (each.short !== undefined && name === `-${each.short}`),
  );
  if (flag !== undefined) return { flag, inline: equals < 0 ? undefined : word.slice(equals + 1) };
  const meant = closestWord(name.replace(/^-+/, ""), [...flags.map((each) => each.name), "help"]);
  throw new CardeaError("bad-input", `unknown flag ${name}${meant === null ? "" : `; did you mean --${meant}?`}`);
}

function readValue(flag: Flag, inline: string | undefined, next: string | undefined): string {
  if (flag.value === null) {
    if (inline !== undefined) throw new CardeaError("bad-input", `--${flag.name} takes no value`);
    return "true";
  }
  if (inline !== undefined) return inline;
  // A value that looks like a flag is more often a forgotten value; `--name=-value` says it without doubt.
  if (next === undefined || (next.startsWith("-") && next !== "-"))
    throw new CardeaError("bad-input", `--${flag.name} needs a value: --${flag.name} ${flag.value}`);
  return next;
}

function addValue(given: Map<Flag, string[]>, flag: Flag, value: string): void {
  const values = given.get(flag);
  if (values === undefined) given.set(flag, [value]);
  else if (flag.repeat === true) values.push(value);
  else throw new CardeaError("bad-input", `--${flag.name} is given twice`);
}

function assertCount(command: Pick<Command, "usage" | "positional">, positional: readonly string[]): void {
  if (command.positional === undefined) return;
  const { min, max } = command.positional;
  if (positional.length < min) throw new CardeaError("bad-input", `an argument is missing; usage: ${command.usage}`);
  if (positional.length > max)
    throw new CardeaError(
      "bad-input",
      `unexpected argument ${JSON.stringify(positional[max])}; usage: ${command.usage}`,
    );
}

function toParsedArgs(
  flags: readonly Flag[],
  given: ReadonlyMap<Flag, readonly string[]>,
  positional: readonly string[],
  passthrough: readonly string[],
): ParsedArgs {
  function declared(name: string): Flag {
    const flag = flags.find((each) => each.name === name);
    if (flag === undefined) throw new CardeaError("internal", `the flag --${name} is not declared`);
    return flag;
  }
  return {
    positional,
    passthrough,
    flag: (name) => given.get(declared(name))?.at(-1) ?? declared(name).default,
    flags(name) {
      const flag = declared(name);
      return given.get(flag) ?? (flag.default === undefined ? [] : [flag.default]);
    },
    isSet: (name) => given.has(declared(name)),
  };
}
