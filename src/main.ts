import { parseArgs } from "./cli/args.ts";
import type { ExitCode, Terminal } from "./cli/command.ts";
import { COMMANDS, findCommand } from "./cli/commands.ts";
import { exitCodeOf } from "./cli/exit-code.ts";
import { formatCommandHelp, formatOverview } from "./cli/help.ts";
import { flushTerminal, openTerminal } from "./cli/terminal.ts";
import { readVersion } from "./cli/version.ts";
import { closestWord } from "./core/closest-word.ts";
import { CardeaError, toCardeaError } from "./core/errors.ts";

const terminal = openTerminal();
// Our timers never keep a process alive by themselves; a command that waits for one does, until exitWith ends it.
setInterval(() => {}, 2 ** 30);
process.on("uncaughtException", (thrown) => void exitWith(reportFailure(thrown)));
process.on("unhandledRejection", (thrown) => void exitWith(reportFailure(thrown)));
// No top-level await: bin/cardea.js loads this file by require, which an old Node can at least read.
void runCommandLine(process.argv.slice(2), terminal).then(exitWith);

/** argv → command → exit code. Every failure ends as one line on stderr. */
async function runCommandLine(words: readonly string[], to: Terminal): Promise<number> {
  try {
    const entry = findCommand(words);
    if (entry === null) return await answerWithoutCommand(words, to);
    const command = await entry.load();
    const rest = words.slice(entry.name.split(" ").length);
    if (asksForHelp(rest)) {
      to.stdout(formatCommandHelp(command));
      return 0;
    }
    return await command.run(parseArgs(command, rest), to);
  } catch (thrown) {
    return reportFailure(thrown);
  }
}

function asksForHelp(words: readonly string[]): boolean {
  const own = words.includes("--") ? words.slice(0, words.indexOf("--")) : words;
  return own.includes("--help") || own.includes("-h");
}

async function answerWithoutCommand(words: readonly string[], to: Terminal): Promise<ExitCode> {
  const [first] = words;
  if (first === "--version") {
    to.stdout(await readVersion());
    return 0;
  }
  if (first === "--help" || first === "-h" || first === "help") {
    to.stdout(formatOverview(await Promise.all(COMMANDS.map((entry) => entry.load()))));
    return 0;
  }
  throw new CardeaError("bad-input", describeMissingCommand(words));
}

function describeMissingCommand(words: readonly string[]): string {
  const names = COMMANDS.map((entry) => entry.name);
  const [first] = words;
  if (first === undefined) return `a command is missing: ${names.join(", ")}; cardea --help says more`;
  const ofGroup = names.filter((name) => name.startsWith(`${first} `));
  if (ofGroup.length > 0 && words[1] === undefined) return `${first} what? ${ofGroup.join(", ")}`;
  const tried = ofGroup.length > 0 ? `${first} ${words[1]}` : first;
  const meant = closestWord(tried, names);
  return `unknown command ${JSON.stringify(tried)}; ${meant === null ? "cardea --help lists them" : `did you mean ${meant}?`}`;
}

function reportFailure(thrown: unknown): number {
  const error = isPackageMissing(thrown) ? NOT_INSTALLED : toCardeaError(thrown);
  terminal.stderr(`cardea: ${error.message}`);
  // A fault of ours is the one case in which the reader is better served by the stack.
  if (error.code === "internal") terminal.stderr(stackOf(error));
  return exitCodeOf(error.code);
}

const NOT_INSTALLED = new CardeaError(
  "bad-input",
  "the packages that this program needs are not installed: run npm ci",
);

/** A clone that has been run before it was installed. */
function isPackageMissing(thrown: unknown): boolean {
  return (
    thrown instanceof Error &&
    "code" in thrown &&
    thrown.code === "ERR_MODULE_NOT_FOUND" &&
    /Cannot find package/.test(thrown.message)
  );
}

function stackOf(error: CardeaError): string {
  const origin = error.cause instanceof Error ? error.cause : error;
  return origin.stack ?? "";
}

async function exitWith(code: number): Promise<never> {
  await flushTerminal();
  process.exit(code);
}
