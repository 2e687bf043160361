import { type Fault, formatFault } from "../core/located.ts";
import { lintPolicies } from "../policy/analysis/lint.ts";
import type { Command, Terminal } from "./command.ts";
import { readPolicies } from "./policy-input.ts";

/** Reads policy files as the control plane would, and says all that is wrong with them. */
export const command: Command = {
  name: "policy check",
  summary: "errors and warnings of policy files, by file, line, column and field",
  usage: "cardea policy check PATH... [--strict] [--json]",
  example: "cardea policy check policies",
  positional: { min: 1, max: Number.POSITIVE_INFINITY },
  flags: [
    { name: "strict", value: null, summary: "warnings count: exit 1 when there is one" },
    { name: "json", value: null, summary: "one JSON object for each finding" },
  ],
  async run(args, terminal) {
    const { documents, tests, faults, revision } = await readPolicies(args.positional);
    const warnings = lintPolicies(documents);
    const isJson = args.isSet("json");
    for (const fault of faults) report("error", fault, terminal, isJson);
    for (const warning of warnings) report("warning", warning, terminal, isJson);
    if (faults.length > 0) {
      terminal.stderr(`${count(faults.length, "error")}: the set is refused as a whole`);
      return 2;
    }
    const found = `${count(documents.length, "policy", "policies")}, ${count(tests.length, "PolicyTest")}`;
    terminal.stderr(`${found}, ${count(warnings.length, "warning")}; revision ${revision}`);
    return warnings.length > 0 && args.isSet("strict") ? 1 : 0;
  },
};

function report(severity: "error" | "warning", fault: Fault, terminal: Terminal, isJson: boolean): void {
  if (isJson) terminal.stdout(JSON.stringify({ severity, ...fault }));
  else terminal.stderr(formatFault(severity === "error" ? fault : { ...fault, message: `warning: ${fault.message}` }));
}

function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}
