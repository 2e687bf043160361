import { stripTypeScriptTypes } from "node:module";
import { expect, test } from "vitest";
import { findMutants, instrument } from "../../mutation/find-mutants.ts";

const SOURCE = `import type { A } from "./a.ts";
type B = "text" | 7;
export function rank(list: readonly string[], max: number = 3): string | null {
  const few = list.filter((each) => each !== "");
  if (few.length < max && few.every((each) => /^a/.test(each))) return "few";
  if (few.length === 7) few.push("7");
  else if (few.length === 8) return "eight";
  return few?.[0]?.startsWith("b") === true ? \`\${few.length}\` : null;
}
`;

interface Rank {
  readonly rank: (list: readonly string[], max?: number) => string | null;
}

async function load(isMutant: (id: number) => boolean): Promise<Rank> {
  const text = instrument(SOURCE, findMutants(SOURCE)).replace("const { isMutant } = globalThis;", "");
  const own = `const isMutant = globalThis[${JSON.stringify(keep(isMutant))}];`;
  return (await import(`data:text/javascript,${encodeURIComponent(own + stripTypeScriptTypes(text))}`)) as Rank;
}

let kept = 0;
function keep(isMutant: (id: number) => boolean): string {
  const name = `isMutant${kept++}`;
  Object.assign(globalThis, { [name]: isMutant });
  return name;
}

function idOf(original: string, mutated: string | null): number {
  const found = findMutants(SOURCE).filter((each) => each.original === original && each.mutated === mutated);
  expect(found, `${original} → ${mutated}`).toHaveLength(1);
  return found[0]!.id;
}

test("without a mutant the code does what it did", async () => {
  const { rank } = await load(() => false);
  expect([rank(["a", "ab"]), rank(["a", "b"]), rank(["b", "a"]), rank([]), rank(["a", "a"], 2)]).toEqual([
    "few",
    null,
    "2",
    "few",
    null,
  ]);
});

test.each<[string, string | null, readonly string[], string | null]>([
  ["few.length < max", "(few.length) <= (max)", ["a", "a", "a"], "few"],
  ["few.every((each) => /^a/.test(each))", "few.some((each) => /^a/.test(each))", ["b", "a"], "few"],
  ["/^a/", "/a/", ["ba"], "few"],
  ['return "few";', null, ["a"], null],
  ['"few"', '""', ["a"], ""],
  ['list.filter((each) => each !== "")', "list", ["", "a"], null],
  ["0", "1", ["c", "b"], "2"],
])("%s → %s", async (original, mutated, list, wanted) => {
  const before = (await load(() => false)).rank(list);
  const id = idOf(original, mutated);
  const { rank } = await load((each) => each === id);
  expect(rank(list)).toBe(wanted);
  expect(before).not.toBe(wanted);
});

test("types, imports and the middle of optional chains are left alone, and every mutant is another text", () => {
  const mutants = findMutants(SOURCE);
  for (const { original, mutated, place, line } of mutants) {
    expect(mutated).not.toBe(original);
    expect(line).toBeGreaterThan(2);
    expect(["rank", "few"]).toContain(place);
  }
  expect(mutants.map(({ original }) => original)).not.toContain('"./a.ts"');
  expect(mutants.map(({ original }) => original)).not.toContain("few?.[0]");
});
