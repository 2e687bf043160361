import * as fc from "fast-check";
import { expect, test } from "vitest";
import {
  any,
  examplesOf,
  type Language,
  some,
  text,
  textInAnyCase,
} from "../../../../src/policy/analysis/space/language.ts";
import {
  HOSTS,
  METHODS,
  pathsAfter,
  SPIFFE_IDS,
  WORKLOAD_IDS,
} from "../../../../src/policy/analysis/space/universes.ts";
import { parseSpiffeId, workloadNameOf } from "../../../../src/core/spiffe-id.ts";
import { normalizePath, type PathNormalization } from "../../../../src/wire/path.ts";

/** More than any of these takes. */
const many = () => ({ left: 100_000 });

test("one text for each set of patterns that a text can match, the shortest first", () => {
  const languages: readonly Language[] = [
    [[text("/orders")]],
    [[text("/orders/"), any("any")]],
    [[any("any"), text("s")]],
  ];
  expect(examplesOf(languages, pathsAfter("BASE"), many())).toEqual(["/", "/s", "/orders", "/orders/", "/orders/s"]);
});

test("a pattern that no text of the universe fits has no example of its own", () => {
  expect(examplesOf([[[text("/a/../b")]], [[text("no-slash")]]], pathsAfter("BASE"), many())).toEqual(["/"]);
  expect(examplesOf([[[text("get")]]], METHODS, many())).toEqual(["X"]);
});

test("texts that are compared without case have examples in both", () => {
  const languages: readonly Language[] = [[[textInAnyCase("ab")]], [[text("aB")]]];
  expect(examplesOf(languages, HOSTS, many())).toEqual(["", "ab", "aB"]);
});

test("what is more than may be looked at is not known, rather than looked at in part", () => {
  const long = Array.from({ length: 40 }, (_, i): Language => [[any("any"), text(`/${i}/`), any("any")]]);
  expect(examplesOf(long, pathsAfter("BASE"), { left: 1_000 })).toBeNull();
});

test.each<PathNormalization>(["NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"])(
  "under %s every example of a path is one that normalising leaves as it is",
  (mode) => {
    const piece = fc.constantFrom("/", ".", "..", ";", "%2F", "%41", "a", "//", "|", "\\", "%00", "%");
    fc.assert(
      fc.property(fc.array(fc.array(piece, { maxLength: 4 }), { minLength: 1, maxLength: 4 }), (all) => {
        const languages = all.map((pieces): Language => [[text(`/${pieces.join("")}`), any("any")]]);
        for (const path of examplesOf(languages, pathsAfter(mode), many())!) {
          expect(normalizePath(path, mode), path).toMatchObject({ ok: true, pathForMatch: path });
        }
      }),
      { numRuns: 100 },
    );
  },
);

test("identities are SPIFFE IDs, and those of workloads have Istio's shape", () => {
  const languages: readonly Language[] = [[[text("/a."), any("any")]], [[any("any"), text("/ns/."), some("any")]]];
  for (const id of examplesOf(languages, SPIFFE_IDS, many())!)
    expect(parseSpiffeId(`spiffe:/${id}`)).toBe(`spiffe:/${id}`);
  const workloads = examplesOf(languages, WORKLOAD_IDS, many())!;
  expect(workloads.length).toBeGreaterThan(2);
  for (const id of workloads) expect(workloadNameOf(parseSpiffeId(`spiffe:/${id}`))).not.toBeNull();
});
