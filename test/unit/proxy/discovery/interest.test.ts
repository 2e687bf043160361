import { beforeEach, expect, test } from "vitest";
import { LIMITS } from "../../../../src/core/limits.ts";
import { createInterest, type InterestSource } from "../../../../src/proxy/discovery/interest.ts";

let interest: InterestSource;
let told: { added: readonly string[]; dropped: readonly string[] }[];
beforeEach(() => {
  interest = createInterest();
  told = [];
  interest.subscribe((added, dropped) => told.push({ added, dropped }));
});

test("names of one turn are told together, and each once", async () => {
  for (const name of ["a", "b", "a"]) interest.add(name);
  expect(told).toEqual([]);
  await Promise.resolve();
  interest.add("a");
  await Promise.resolve();
  expect(told).toEqual([{ added: ["a", "b"], dropped: [] }]);
  expect(interest.names()).toEqual(["a", "b"]);
});

test("above the limit the longest known give way, and that is told as well", async () => {
  for (let index = 0; index < LIMITS.discoveryInterestMax; index += 1) interest.add(`name-${index}`);
  await Promise.resolve();
  interest.add("one more");
  await Promise.resolve();
  expect(told[1]).toEqual({ added: ["one more"], dropped: ["name-0"] });
  expect(interest.names()).toHaveLength(LIMITS.discoveryInterestMax);
});

test("who does not listen any more is told nothing", async () => {
  const others: (readonly string[])[] = [];
  interest.subscribe((added) => others.push(added))();
  interest.add("a");
  await Promise.resolve();
  expect(others).toEqual([]);
});
