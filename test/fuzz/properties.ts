import * as fc from "fast-check";
import { type Check, checkChunked, checkRequests, checkResponses } from "./invariants.ts";
import { SeededRandom } from "./random.ts";
import { chunkedInput, requestInput, responseInput } from "./arbitraries.ts";

/** Null when all properties hold, else fast-check's own account with the shrunken input. */
export function runProperties(seed: number, count: number): string | null {
  const share = Math.ceil(count / 3);
  const results = [
    fc.check(propertyOf(requestInput, checkRequests), { seed, numRuns: share }),
    fc.check(propertyOf(responseInput, checkResponses), { seed, numRuns: share }),
    fc.check(propertyOf(chunkedInput, checkChunked), { seed, numRuns: count - 2 * share }),
  ];
  const failed = results.find((result) => result.failed);
  return failed === undefined ? null : (fc.defaultReportMessage(failed) ?? "a property failed");
}

function propertyOf(inputs: fc.Arbitrary<Buffer>, check: Check): fc.IProperty<[Buffer, number]> {
  return fc.property(inputs, fc.nat(), (input, split) => check(input, new SeededRandom(split)));
}
