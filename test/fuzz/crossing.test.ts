import { expect, test } from "vitest";
import { openCrossing } from "./crossing.ts";

// A sample of `npm run fuzz`, always the same.
const SEED = 20_261_122;
const INPUTS = 400;

test("a request of HTTP/2 comes to an app of HTTP/1.1 as what it was, or not at all", async () => {
  const crossing = await openCrossing();
  for (let index = 0; index < INPUTS; index++) expect(await crossing.play(SEED, index), `input ${index}`).toBeNull();
  // Neither all refused nor all accepted, or it would have looked at little.
  expect(crossing.counts.crossed).toBeGreaterThan(INPUTS / 5);
  expect(crossing.counts.refused).toBeGreaterThan(INPUTS / 5);
});
