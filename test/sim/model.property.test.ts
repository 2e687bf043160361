import * as fc from "fast-check";
import { expect, it } from "vitest";
import { WORLD } from "../model/arbitraries.ts";
import { playWorld } from "../model/run-world.ts";

// Node's own HTTP clients and servers at both ends, every mix of protocols between them, and a network that cuts and
// delays what they send; held against what HTTP lets one expect. `npm run model` plays as many worlds as it is told.

it("what goes through a pair is what its ends meant, whatever they speak and whoever gives up", async () => {
  await fc.assert(
    fc.asyncProperty(WORLD, async (world) => {
      expect(await playWorld(world)).toEqual([]);
    }),
    { numRuns: 150, seed: 20_261_122, endOnFailure: true },
  );
}, 60_000);
