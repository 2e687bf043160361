import { expect, test } from "vitest";
import { parseArgs } from "../../../src/cli/args.ts";
import type { ParsedArgs } from "../../../src/cli/command.ts";
import { CardeaError } from "../../../src/core/errors.ts";

const COMMAND = {
  name: "flows",
  usage: "cardea flows [FILE]",
  positional: { min: 0, max: 1 },
  flags: [
    { name: "follow", value: null, summary: "" },
    { name: "verdict", value: "VERDICT", repeat: true, summary: "" },
    { name: "output", short: "o", value: "FORMAT", summary: "", default: "compact" },
  ],
} as const;

function parse(...words: string[]): ParsedArgs {
  return parseArgs(COMMAND, words);
}

test("flags, values and arguments are told apart", () => {
  const args = parse("--follow", "--verdict", "denied", "--verdict=error", "-o", "json", "file");
  expect([args.isSet("follow"), args.flags("verdict"), args.flag("output")]).toEqual([
    true,
    ["denied", "error"],
    "json",
  ]);
  expect(args.positional).toEqual(["file"]);
});

test("a flag that is not given has its default, and is not set", () => {
  const args = parse();
  expect([args.flag("output"), args.isSet("output"), args.flags("verdict"), args.flag("follow")]).toEqual([
    "compact",
    false,
    [],
    undefined,
  ]);
});

test("what follows -- is not read", () => {
  const args = parse("-", "--", "npm", "--follow", "--", "x");
  expect(args.passthrough).toEqual(["npm", "--follow", "--", "x"]);
  expect([args.positional, args.isSet("follow")]).toEqual([["-"], false]);
});

test.each([
  [["--folow"], "unknown flag --folow; did you mean --follow?"],
  [["--hlep"], "unknown flag --hlep; did you mean --help?"],
  [["-x"], "unknown flag -x"],
  [["--follow=yes"], "--follow takes no value"],
  [["--output"], "--output needs a value: --output FORMAT"],
  [["--output", "--follow"], "--output needs a value: --output FORMAT"],
  [["-o", "a", "--output", "b"], "--output is given twice"],
  [["a", "b"], 'unexpected argument "b"; usage: cardea flows [FILE]'],
])("%j is refused with what is wrong", (words, message) => {
  expect(() => parse(...words)).toThrow(new CardeaError("bad-input", message));
});

test("an argument that is missing is refused", () => {
  expect(() => parseArgs({ ...COMMAND, positional: { min: 1, max: 1 } }, [])).toThrow(/an argument is missing/);
});

test("asking for a flag that was never declared is a bug", () => {
  expect(() => parse().flag("nope")).toThrow(/not declared/);
});
