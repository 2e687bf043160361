/** `CARDEA_TEST_RUNS=250` multiplies how often properties are tried: millions for a night, hundredths for mutation tests. */
const FACTOR = Number(process.env["CARDEA_TEST_RUNS"] ?? "1");

/** How often a property is tried that is usually tried so often. */
export function propertyRuns(usual: number): number {
  return Math.max(10, Math.ceil(usual * FACTOR));
}
