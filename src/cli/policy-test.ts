import { type CaseResult, type PolicyTestReport, runPolicyTests } from "../policy/analysis/run-policy-tests.ts";
import { normalizePath } from "../wire/path.ts";
import type { Command } from "./command.ts";
import { parsePercent } from "./percent-flag.ts";
import { documentsAt } from "./time-flag.ts";
import { readGoodPolicies, readMeshSettings } from "./policy-input.ts";
import { CardeaError } from "../core/errors.ts";

/** Runs PolicyTest documents through the engine that enforces. */
export const command: Command = {
  name: "policy test",
  summary: "run the PolicyTest documents of policy files, and say which rules no test touches",
  usage: "cardea policy test PATH... [--mesh FILE] [--min-coverage PERCENT] [--json]",
  example: "cardea policy test policies",
  positional: { min: 1, max: Number.POSITIVE_INFINITY },
  flags: [
    { name: "mesh", value: "FILE", summary: "mesh file, for its trust domain, root namespace and defaultAction" },
    { name: "at", value: "TIME", summary: "when: grants that do not hold then match nothing (default: all hold)" },
    { name: "min-coverage", value: "PERCENT", summary: "exit 1 when tests touch fewer of the rules" },
    { name: "json", value: null, summary: "one JSON object for each case, each rule's coverage, and the sum" },
  ],
  async run(args, terminal) {
    const least = parsePercent("min-coverage", args.flag("min-coverage"));
    const settings = await readMeshSettings(args.flag("mesh"));
    const { documents, authentication, tests } = await readGoodPolicies(args.positional);
    if (tests.length === 0) throw new CardeaError("bad-input", "there is no PolicyTest document to run");
    const report = runPolicyTests(tests, {
      documents: documentsAt(documents, args),
      authentication,
      settings,
      normalizePath: (path) => {
        const normalized = normalizePath(path, settings.pathNormalization);
        return normalized.ok ? normalized.pathForMatch : null;
      },
    });
    const lines = args.isSet("json") ? formatJson(report) : formatReport(report, terminal.colour);
    for (const line of lines) terminal.stdout(line);
    const percent = coveredPercent(report);
    const isTooLittle = least !== null && percent < least;
    if (isTooLittle) terminal.stderr(`tests touch ${percent.toFixed(1)} % of the rules, fewer than ${least} %`);
    return report.results.every((result) => result.isPassed) && !isTooLittle ? 0 : 1;
  },
};

/** Of no rules, all are covered. */
function coveredPercent({ coverage }: PolicyTestReport): number {
  const covered = coverage.filter((rule) => rule.isCovered).length;
  return coverage.length === 0 ? 100 : (covered / coverage.length) * 100;
}

function formatJson({ results, coverage }: PolicyTestReport): readonly string[] {
  const failed = results.filter((result) => !result.isPassed).length;
  const covered = coverage.filter((rule) => rule.isCovered).length;
  return [
    ...results.map(({ isPassed, decision, ...result }) => ({
      kind: "case",
      passed: isPassed,
      ...result,
      policy: decision?.policy ?? null,
      rule: decision?.rule ?? null,
      reason: decision?.reason ?? "bad-request",
    })),
    ...coverage.map(({ isCovered, ...rule }) => ({ kind: "coverage", ...rule, covered: isCovered })),
    { kind: "summary", passed: results.length - failed, failed, rules: coverage.length, rulesCovered: covered },
  ].map((object) => JSON.stringify(object));
}

/** A line for each test, more for what failed, then the rules that no test touches. */
function formatReport({ results, coverage }: PolicyTestReport, colour: boolean): readonly string[] {
  const paint = (code: number, text: string): string => (colour ? `\u001B[${code}m${text}\u001B[0m` : text);
  const lines: string[] = [];
  for (const [document, cases] of groupBy(results, (result) => `${result.file}: ${result.test}`)) {
    lines.push(document);
    for (const [, row] of groupBy(cases, (result) => `${result.line} ${result.name}`)) {
      const failures = row.filter((result) => !result.isPassed);
      const tally = row.length === 1 ? "" : paint(2, ` (${row.length})`);
      lines.push(`  ${failures.length === 0 ? paint(32, "✓") : paint(31, "✗")} ${row[0]!.name}${tally}`);
      lines.push(...failures.flatMap(formatFailure));
    }
  }
  const uncovered = coverage.filter((rule) => !rule.isCovered);
  lines.push("", `rules covered: ${coverage.length - uncovered.length} of ${coverage.length}`);
  lines.push(
    ...uncovered.map(
      ({ policy, rule, file, line }) => `  not covered: rule ${rule} of ${policy} (${file}:${line ?? 1})`,
    ),
  );
  const failed = results.filter((result) => !result.isPassed).length;
  lines.push(`${results.length - failed} passed, ${failed} failed`);
  return lines;
}

function formatFailure({ file, line, asked, expected, actual, why }: CaseResult): readonly string[] {
  return [`      ${file}:${line ?? 1}: ${asked}: expected ${expected}, got ${actual}`, `      ${why ?? ""}`];
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): ReadonlyMap<string, readonly T[]> {
  return Map.groupBy(items, keyOf);
}
