import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { keyOf, knownKeys, nameMutants, SURVIVORS } from "../../mutation/survivors.ts";
import { BESIDE_DECISIONS, TESTED } from "../../mutation/tested-files.ts";

// The whole run takes too long for every change; that its list is true of the present source is held here.

const TOP = join(import.meta.dirname, "../../..");
const files = [...new Set(SURVIVORS.map(({ file }) => file))];

test.each(files)("each survivor of %s is a change of the file as it is now, and stands there once", (file) => {
  const present = new Set(nameMutants(file, readFileSync(join(TOP, file), "utf8")).map(keyOf));
  const known = knownKeys(file);
  expect(known.filter((key) => !present.has(key))).toEqual([]);
  expect(known.filter((key, i) => known.indexOf(key) !== i)).toEqual([]);
});

test("each survivor has a reason in a sentence's length, and who holds the decision is a file of tests", () => {
  for (const { file, reason, heldBy, mutants } of SURVIVORS) {
    expect(TESTED.has(file), file).toBe(true);
    expect(reason.split(" ").length, reason).toBeGreaterThan(4);
    expect(mutants.length, reason).toBeGreaterThan(0);
    if (heldBy !== undefined) expect(TESTED.get(file), reason).toContain(heldBy);
    if (/speed|memory/.test(reason)) expect(heldBy, reason).toBeDefined();
  }
});

test("every file of src/policy is mutated, or it is said why it takes no part in a decision", () => {
  const all = ["", "authentication/", "lookup/"].flatMap((folder) =>
    readdirSync(join(TOP, "src/policy", folder))
      .filter((name) => name.endsWith(".ts"))
      .map((name) => `src/policy/${folder}${name}`),
  );
  expect(all.filter((file) => TESTED.has(file) === BESIDE_DECISIONS.has(file))).toEqual([]);
  for (const file of [...TESTED.keys(), ...BESIDE_DECISIONS.keys()]) expect(all).toContain(file);
  for (const file of new Set([...TESTED.values()].flat())) expect(existsSync(join(TOP, file)), file).toBe(true);
});

test("two changes that read the same have different names", () => {
  const names = nameMutants("a.ts", "const a = [f(1), f(1)];\n");
  expect(names.map(({ mutated, nth }) => [mutated, nth])).toEqual([
    ["[]", 1],
    ["2", 1],
    ["0", 1],
    ["2", 2],
    ["0", 2],
  ]);
  expect(new Set(names.map(keyOf)).size).toBe(names.length);
});
