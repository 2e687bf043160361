import { expect, test } from "vitest";
import { fuzzOne } from "./fuzz.ts";
import { checkChunked, checkPath, checkRequests, checkResponses } from "./invariants.ts";
import { mutate } from "./mutate.ts";
import { runProperties } from "./properties.ts";
import { SeededRandom } from "./random.ts";
import { CHUNKED_SEEDS, PATH_SEEDS, REQUEST_SEEDS, RESPONSE_SEEDS } from "./seeds.ts";

// A sample of `npm run fuzz`, always the same: the full run has a million inputs and a new seed each time.
const SEED = 20_261_122;
const MUTATED_INPUTS = 4_000;
const STRUCTURED_INPUTS = 600;

test("mutated inputs find nothing", () => {
  for (let index = 0; index < MUTATED_INPUTS; index++) expect(fuzzOne(SEED, index)).toBeNull();
});

test("structured inputs find nothing", () => {
  expect(runProperties(SEED, STRUCTURED_INPUTS)).toBeNull();
});

test("every seed that mutations start from is sound itself", () => {
  for (const [seeds, check] of [
    [REQUEST_SEEDS, checkRequests],
    [RESPONSE_SEEDS, checkResponses],
    [CHUNKED_SEEDS, checkChunked],
    [PATH_SEEDS, checkPath],
  ] as const) {
    for (const seed of seeds) check(seed, new SeededRandom(SEED));
  }
});

test("the same seed and index give the same input, others give others", () => {
  const inputs = [7, 7, 8].map((index) => mutate(REQUEST_SEEDS[1]!, REQUEST_SEEDS, new SeededRandom(SEED, index)));
  expect(inputs[0]).toEqual(inputs[1]);
  expect(inputs[0]).not.toEqual(inputs[2]);
});

test("inputs are neither all refused nor all accepted", () => {
  const random = new SeededRandom(SEED);
  const unchanged = Array.from({ length: 300 }, () => mutate(REQUEST_SEEDS[0]!, REQUEST_SEEDS, random)).filter(
    (input) => input.equals(REQUEST_SEEDS[0]!),
  );
  expect(unchanged.length).toBeGreaterThan(20);
  expect(unchanged.length).toBeLessThan(150);
});
