import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { buildHashRing } from "../../../../src/proxy/traffic/hash-ring.ts";
import type { HashLookup } from "../../../../src/proxy/traffic/hash-lookup.ts";
import { buildMaglev } from "../../../../src/proxy/traffic/maglev.ts";
import { stableHash } from "../../../../src/proxy/traffic/stable-hash.ts";

const KEYS = Array.from({ length: 4_000 }, (_, index) => stableHash(`user-${index}`));

const TABLES: readonly (readonly [string, (names: readonly string[]) => HashLookup])[] = [
  ["a ring", (names) => buildHashRing(names, 1_024)],
  ["Maglev", (names) => buildMaglev(names, 4_099)],
];

/** Names of workloads that differ as those of a real service do. */
const manyNames = fc.uniqueArray(fc.ipV4(), { minLength: 2, maxLength: 20 });

describe.each(TABLES)("%s", (kind, build) => {
  it("gives a key the same name whatever the order", () => {
    fc.assert(
      fc.property(manyNames, (names) => {
        const forward = build(names);
        const again = build([...names]);
        for (const key of KEYS.slice(0, 200)) expect(names[again(key)]).toBe(names[forward(key)]);
      }),
      { numRuns: 20 },
    );
  });

  it("a name that leaves moves its own keys, and few others", () => {
    fc.assert(
      fc.property(manyNames, fc.nat(), (names, draw) => {
        const gone = names[draw % names.length]!;
        const left = names.filter((name) => name !== gone);
        const [before, after] = [build(names), build(left)];
        let moved = 0;
        for (const key of KEYS) {
          const name = names[before(key)]!;
          if (name === gone) continue;
          if (left[after(key)] !== name) moved++;
        }
        // A ring of four names or more moves no other key; Maglev disturbs a few in a hundred.
        if (kind === "Maglev") expect(moved / KEYS.length).toBeLessThan(0.15);
        else if (left.length >= 4) expect(moved).toBe(0);
      }),
      { numRuns: 15 },
    );
  });

  it("deals the keys out about evenly", () => {
    const names = Array.from({ length: 8 }, (_, index) => `10.0.0.${index}:8080`);
    const lookUp = build(names);
    const counts = names.map((_, index) => KEYS.filter((key) => lookUp(key) === index).length);
    for (const count of counts) {
      expect(count).toBeGreaterThan(KEYS.length / 8 / 2);
      expect(count).toBeLessThan((KEYS.length / 8) * 2);
    }
  });

  it("one name has everything", () => {
    const lookUp = build(["a"]);
    expect(KEYS.every((key) => lookUp(key) === 0)).toBe(true);
  });
});

describe("Maglev's table", () => {
  it.each([0, 1, 4, 100, 65_536])("of size %d is raised to a prime, and ends", (size) => {
    const names = ["a", "b", "c"];
    const lookUp = buildMaglev(names, size);
    expect(new Set(KEYS.map(lookUp)).size).toBeGreaterThan(1);
  });
});

describe("the stable hash", () => {
  // Published test vectors of MurmurHash3_x86_32.
  it.each([
    ["", 0, 0],
    ["", 1, 0x514e28b7],
    ["test", 0, 0xba6bd213],
    ["test", 0x9747b28c, 0x704b81dc],
    ["Hello, world!", 0, 0xc0363e43],
    ["Hello, world!", 0x9747b28c, 0x24884cba],
    ["The quick brown fox jumps over the lazy dog", 0x9747b28c, 0x2fa826cd],
  ])("of %j with seed %d", (text, seed, expected) => {
    expect(stableHash(text, seed)).toBe(expected);
  });
});
