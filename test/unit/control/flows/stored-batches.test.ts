import { expect, test } from "vitest";
import { StoredBatches } from "../../../../src/control/flows/stored-batches.ts";
import { parseSpiffeId } from "../../../../src/core/spiffe-id.ts";

const WEB = parseSpiffeId("spiffe://cluster.local/ns/shop/sa/web");
const EVIL = parseSpiffeId("spiffe://cluster.local/ns/shop/sa/evil");

test("a batch is known from its second coming on, by its own sender", () => {
  const batches = new StoredBatches(10);
  expect([batches.isKnown(WEB, "a"), batches.isKnown(WEB, "a"), batches.isKnown(EVIL, "a")]).toEqual([
    false,
    true,
    false,
  ]);
});

test("one that was not stored after all is taken when it comes again", () => {
  const batches = new StoredBatches(10);
  batches.isKnown(WEB, "kept");
  batches.committed();
  batches.isKnown(WEB, "lost");
  batches.rolledBack();
  expect([batches.isKnown(WEB, "kept"), batches.isKnown(WEB, "lost")]).toEqual([true, false]);
});

test("the oldest are forgotten beyond the bound", () => {
  const batches = new StoredBatches(3);
  for (const id of ["a", "b", "c", "d"]) batches.isKnown(WEB, id);
  expect([batches.isKnown(WEB, "d"), batches.isKnown(WEB, "a")]).toEqual([true, false]);
});
