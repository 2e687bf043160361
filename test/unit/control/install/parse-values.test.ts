import { describe, expect, test } from "vitest";
import { type Fault, formatFault } from "../../../../src/core/located.ts";
import { parseValues, type ValueSources } from "../../../../src/control/install/parse-values.ts";
import { DEFAULT_VALUES } from "../../../../src/control/install/values.ts";

function read(sources: Partial<ValueSources>) {
  const faults: Fault[] = [];
  const values = parseValues({ profile: "default", files: [], sets: [], ...sources }, faults);
  return { values, faults: faults.map(formatFault) };
}

const file = (text: string) => ({ files: [{ file: "values.yaml", text }] });

test("nothing said is the defaults", () => {
  expect(read({})).toEqual({ values: DEFAULT_VALUES, faults: [] });
  expect(read(file("# all of it\n# commented out\n")).values).toEqual(DEFAULT_VALUES);
});

test("profile, files and single values stand above each other in this order; maps are joined, lists replaced", () => {
  const { values } = read({
    profile: "ha",
    files: [
      { file: "a.yaml", text: "control: {replicas: 5, logLevel: warn, nodeSelector: {a: b}}\nimage: a" },
      { file: "b.yaml", text: "control: {nodeSelector: {c: d}}\nimage: b" },
    ],
    sets: ["image=c", "control.replicas=7", "mesh.trustDomainAliases={x.example,y.example}", "control.spread=false"],
  });
  expect(values).toMatchObject({
    image: "c",
    control: { replicas: 7, logLevel: "warn", spread: false, disruptionBudget: true, nodeSelector: { a: "b", c: "d" } },
    mesh: { trustDomainAliases: ["x.example", "y.example"] },
  });
});

describe("faults are told all at once, with file, line, column and field", () => {
  test.each<readonly [string, readonly string[]]>([
    ["control:\n  replica: 3", ["values.yaml:2:3: control.replica: unknown field; did you mean `replicas`?"]],
    [
      "imagee: x\ncontrol:\n  replicas: three",
      [
        "values.yaml:1:1: imagee: unknown field; did you mean `image`?",
        'values.yaml:3:13: control.replicas: expected a whole number from 1 to 32, found the text "three"',
      ],
    ],
    ["revision: Canary", ['values.yaml:1:11: revision: expected a name of a-z, 0-9 and -, or nothing, found "Canary"']],
    [
      "mesh: {enforcement: enforce}",
      ['values.yaml:1:21: mesh.enforcement: expected one of ENFORCE, AUDIT, found "enforce"; did you mean `ENFORCE`?'],
    ],
    [
      "injection: {proxyResources: {limits: {memory: lots}}}",
      [
        'values.yaml:1:47: injection.proxyResources.limits.memory: expected a quantity like 100m, 2 or 128Mi, found "lots"',
      ],
    ],
    [
      "defaultRevision: true",
      ["values: defaultRevision: goes with a revision: an installation without one is the default already"],
    ],
    ['image: "a{{ b }}"', ['values.yaml:1:8: image: expected an image, as registry/name:tag, found "a{{ b }}"']],
    ["- a", ["values.yaml:1:1: expected a map, found a list"]],
  ])("%j", (text, faults) => {
    expect(read(file(text))).toEqual({ values: null, faults });
  });

  test.each([
    ["control.replicas", '--set: expected path=value, as control.replicas=3, found "control.replicas"'],
    ["=3", '--set: expected path=value, as control.replicas=3, found "=3"'],
    ["control.replicas=many", '--set: control.replicas: expected a whole number from 1 to 32, found the text "many"'],
    ["control=3", '--set: control: expected a map, found the text "3"'],
    ["__proto__.x=3", "--set: __proto__: unknown field"],
  ])("--set %s", (set, fault) => {
    const { values, faults } = read({ sets: [set] });
    expect(values).toBeNull();
    expect(faults).toEqual([expect.stringContaining(fault)]);
  });
});

test("a revision that looks like a number is a name all the same", () => {
  expect(read({ sets: ["revision=v1-2"] }).values).toMatchObject({ revision: "v1-2" });
  expect(read({ sets: ["revision=12"] }).faults).toEqual([expect.stringContaining("revision: expected a name")]);
});
