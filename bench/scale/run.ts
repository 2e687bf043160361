import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describeLoadAverage } from "../path/machine.ts";
import { endAll } from "../path/child.ts";
import { replaceSection } from "../path/readme.ts";
import { parseScaleArguments, type ScaleArguments, USAGE } from "./arguments.ts";
import { runChurn } from "./churn.ts";
import { runCompile } from "./compile.ts";
import { runIssue } from "./issue.ts";
import { simulateRenewals } from "./renewals.ts";
import { formatChurn, formatCompile, formatIssue, formatRenewals } from "./report.ts";

// npm run bench:scale: what a thousand sidecars cost one control plane. See README.md beside this file.

const log = (line: string): void => void process.stderr.write(`${line}\n`);

async function main(): Promise<number> {
  let args: ScaleArguments;
  try {
    args = parseScaleArguments(process.argv.slice(2));
  } catch (thrown) {
    log(`${(thrown as Error).message}\n${USAGE}`);
    return 2;
  }
  log(describeLoadAverage());
  const { text, result } = await measure(args);
  if (args.jsonFile !== null) writeFileSync(args.jsonFile, `${JSON.stringify(result, null, 2)}\n`);
  if (args.isForReadme) writeSection(args.task, text);
  process.stdout.write(`${text}\n`);
  return 0;
}

async function measure(args: ScaleArguments): Promise<{ readonly text: string; readonly result: unknown }> {
  switch (args.task) {
    case "churn": {
      const result = await runChurn(args, log);
      return { text: formatChurn(result), result };
    }
    case "issue": {
      const result = await runIssue(args, log);
      return { text: formatIssue(result), result };
    }
    case "renewals": {
      const result = simulateRenewals(args);
      return { text: formatRenewals(result), result };
    }
    case "policies": {
      const result = runCompile(args);
      return { text: formatCompile(result), result };
    }
  }
}

/** Puts a run's text between the marks of its task in the README beside this file. */
function writeSection(task: ScaleArguments["task"], text: string): void {
  const path = join(import.meta.dirname, "README.md");
  const page = readFileSync(path, "utf8");
  writeFileSync(path, replaceSection(page, `scale-${task}`, text));
}

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));
process.exitCode = await main().finally(() => void endAll());
