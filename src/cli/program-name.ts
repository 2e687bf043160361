import type { Terminal } from "./command.ts";

/** How the reader calls us, for command lines that are to be copied: through npm there is no `cardea` on the path. */
export function programName(env: Terminal["env"]): string {
  return env["npm_command"] === undefined ? "cardea" : "npx cardea";
}

/** The command line that explains a denial; names the state directory where it is not the one found by itself. */
export function explainLine(id: string, env: Terminal["env"], stateDirectory: string | null): string {
  const state = stateDirectory === null ? "" : ` --state ${stateDirectory}`;
  return `${programName(env)} explain ${id}${state}`;
}
