import type { Command, Flag } from "./command.ts";

/** The page of `cardea --help`. */
export function formatOverview(commands: readonly Pick<Command, "name" | "summary">[]): string {
  const width = Math.max(...commands.map((command) => command.name.length)) + 2;
  return [
    "cardea: a zero-trust service mesh, from a laptop to a cluster",
    "",
    "usage: cardea COMMAND [flags]",
    "",
    ...commands.map((command) => `  ${command.name.padEnd(width)}${command.summary}`),
    "",
    "  cardea COMMAND --help says more; cardea --version prints the version.",
    "",
    "exit codes: 0 good; 1 it ran and found something; 2 bad usage or input; 3 could not reach something",
    "",
    "example: cardea up",
  ].join("\n");
}

/** The page of `cardea COMMAND --help`. */
export function formatCommandHelp(command: Command): string {
  const rows = [...command.flags.map(describeFlag), { left: "--help", right: "this page" }];
  const width = Math.max(...rows.map((row) => row.left.length)) + 2;
  return [
    `cardea ${command.name}: ${command.summary}`,
    "",
    `usage: ${command.usage}`,
    "",
    ...rows.map((row) => `  ${row.left.padEnd(width)}${row.right}`),
    "",
    `example: ${command.example}`,
  ].join("\n");
}

function describeFlag(flag: Flag): { left: string; right: string } {
  const short = flag.short === undefined ? "" : `-${flag.short}, `;
  const value = flag.value === null ? "" : ` ${flag.value}`;
  const notes = [
    flag.repeat === true ? "may be repeated" : null,
    flag.default === undefined ? null : `default: ${flag.default}`,
  ];
  const known = notes.filter((note) => note !== null);
  return {
    left: `${short}--${flag.name}${value}`,
    right: known.length === 0 ? flag.summary : `${flag.summary} (${known.join(", ")})`,
  };
}
