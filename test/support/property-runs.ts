import { expect } from "vitest";

/** `CARDEA_TEST_RUNS=250` multiplies how often properties are tried: millions for a night, hundredths for mutation tests. */
const FACTOR = Number(process.env["CARDEA_TEST_RUNS"] ?? "1");

/** How often a property is tried that is usually tried so often. */
export function propertyRuns(usual: number): number {
  return Math.max(10, Math.ceil(usual * FACTOR));
}

/** That something was seen so often at least: a world in which it never happens would prove little. */
export function expectSeen(what: string, count: number, min: number): void {
  // A few tries tell nothing of how often.
  if (FACTOR >= 0.5) expect(count, what).toBeGreaterThan(min);
}
