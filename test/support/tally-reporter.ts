import { writeFileSync } from "node:fs";
import { stripVTControlCharacters } from "node:util";
import type { Reporter, TestModule, TestResult } from "vitest/node";
import { reasonInName, type Tally } from "./tally.ts";

/** Vitest reporter: counts the tests and writes the tally to the file that CARDEA_TALLY_FILE names. */
export default class TallyReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const file = process.env["CARDEA_TALLY_FILE"];
    if (file !== undefined) writeFileSync(file, JSON.stringify(tallyOf(modules, unhandledErrors)));
  }
}

/** A file that could not be loaded, a hook that threw and an error outside of any test count as one failure each. */
function tallyOf(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): Tally {
  let passed = 0;
  const failures = unhandledErrors.map((error) => ({ name: "outside of any test", error: firstLine(error) }));
  const skipped: { name: string; reason: string | null }[] = [];
  for (const module of modules) {
    const tests = [...module.children.allTests()];
    const failedHere = tests.filter((test) => test.result().state === "failed");
    for (const test of failedHere) {
      failures.push({
        name: `${module.relativeModuleId} > ${test.fullName}`,
        error: firstLine(test.result().errors?.[0]),
      });
    }
    if (failedHere.length === 0 && module.state() === "failed") {
      failures.push({ name: module.relativeModuleId, error: firstLine(module.errors()[0]) });
    }
    for (const test of tests) {
      const result = test.result();
      if (result.state === "passed") passed += 1;
      if (result.state === "passed" || result.state === "failed") continue;
      skipped.push({
        name: `${module.relativeModuleId} > ${test.fullName}`,
        reason: noteOf(result) ?? reasonInName(test.fullName),
      });
    }
  }
  return { passed, failed: failures.length, failures, skipped };
}

function noteOf(result: TestResult): string | null {
  return "note" in result && result.note !== undefined ? result.note : null;
}

function firstLine(error: unknown): string | null {
  const message = error instanceof Object && "message" in error ? String(error.message) : "";
  return stripVTControlCharacters(message).split("\n", 1)[0] || null;
}
