import { type Fault, formatFault } from "../core/located.ts";
import { lintPolicies } from "../policy/analysis/lint.ts";
import { lintTraffic } from "../traffic/lint.ts";
import type { Command, Terminal } from "./command.ts";
import { readPolicies, readServiceHosts } from "./policy-input.ts";

/** Reads policy files as the control plane would, and says all that is wrong with them. */
export const command: Command = {
  name: "policy check",
  summary: "errors and warnings of policies and traffic rules, by file, line, column and field",
  usage: "cardea policy check PATH... [--mesh FILE] [--strict] [--json]",
  example: "cardea policy check policies",
  positional: { min: 1, max: Number.POSITIVE_INFINITY },
  flags: [
    { name: "mesh", value: "FILE", summary: "warn of hosts that no service of this mesh file has" },
    { name: "strict", value: null, summary: "warnings count: exit 1 when there is one" },
    { name: "json", value: null, summary: "one JSON object for each finding" },
  ],
  async run(args, terminal) {
    const { documents, traffic, tests, invariants, faults, revision } = await readPolicies(args.positional);
    const services = await readServiceHosts(args.flag("mesh"));
    const warnings = [...lintPolicies(documents), ...lintTraffic(traffic, services)];
    const isJson = args.isSet("json");
    for (const fault of faults) report("error", fault, terminal, isJson);
    for (const warning of warnings) report("warning", warning, terminal, isJson);
    if (faults.length > 0) {
      terminal.stderr(`${count(faults.length, "error")}: the set is refused as a whole`);
      return 2;
    }
    const rules = traffic.length === 0 ? "" : `, ${count(traffic.length, "traffic rule")}`;
    const held = invariants.length === 0 ? "" : `, ${count(invariants.length, "Invariant")}`;
    const found = `${count(documents.length, "policy", "policies")}, ${count(tests.length, "PolicyTest")}${held}`;
    terminal.stderr(`${found}${rules}, ${count(warnings.length, "warning")}; revision ${revision}`);
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
