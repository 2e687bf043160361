/** What a test run came to. The reporter writes it as JSON, run-tests.ts reads it. */
export interface Tally {
  readonly passed: number;
  readonly failed: number;
  readonly failures: readonly FailedTest[];
  readonly skipped: readonly SkippedTest[];
}

interface FailedTest {
  readonly name: string;
  /** The first line of the first error, or null where there is none. */
  readonly error: string | null;
}

interface SkippedTest {
  readonly name: string;
  /** The note that the test gave to `skip`, else what its name says in brackets, or null. */
  readonly reason: string | null;
}

const NOTHING_RAN: Tally = { passed: 0, failed: 0, failures: [], skipped: [] };

/**
 * The end of the output and the exit code. `tally` is null when vitest wrote none. The last line is
 * `N passed, N failed`, with `, N skipped` when there are any; each of those is named before it, the failed ones last.
 */
export function concludeTally(
  tally: Tally | null,
  vitestExitCode: number,
): { readonly lines: readonly string[]; readonly exitCode: 0 | 1 } {
  const { passed, failed, failures: named, skipped } = tally ?? NOTHING_RAN;
  // Nothing ran, or vitest itself came to grief: that is a failure, whatever was counted.
  const failures = failed === 0 && (vitestExitCode !== 0 || passed === 0) ? 1 : failed;
  const skippedPart = skipped.length === 0 ? "" : `, ${skipped.length} skipped`;
  const lines = skipped.map((test) => `skipped: ${test.name}: ${test.reason ?? "no reason given"}`);
  lines.push(...named.map((test) => `failed: ${test.name}: ${test.error ?? "no error given"}`));
  return { lines: [...lines, `${passed} passed, ${failures} failed${skippedPart}`], exitCode: failures === 0 ? 0 : 1 };
}

/** Why a test was skipped, where nothing but its name tells: `… (skipped without openssl)`, `… (needs the corpus)`. */
export function reasonInName(name: string): string | null {
  return /\(((?:skipped|needs) [^()]+)\)/.exec(name)?.[1] ?? null;
}
