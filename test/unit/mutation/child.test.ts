import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";

const TOP = join(import.meta.dirname, "../../..");

/** A number that no mutant has. */
const NO_MUTANT = "-2";

test("a change that is there while modules load is not killed by tests that pass many places of the file", () => {
  const files = ["src/policy/lookup/text-trie.ts", "test/unit/policy/lookup/tries.property.test.ts"];
  const child = [join(TOP, "test/mutation/child.ts"), ...files.map((path) => join(TOP, path))];
  const env = { ...process.env, ONLY: NO_MUTANT, CARDEA_TEST_RUNS: "0.05" };
  const { stdout } = spawnSync(process.execPath, child, { env, encoding: "utf8", timeout: 60_000 });
  expect(stdout).toBe(`${NO_MUTANT} survived\n`);
}, 60_000);
