import { describe, expect, it } from "vitest";
import { HexIds } from "../../../src/core/hex-ids.ts";

/** Octets that count up, so that every id can be foretold; tells how much was drawn. */
function countingRandom() {
  let next = 0;
  const drawn: number[] = [];
  const bytes = (count: number): Buffer => {
    drawn.push(count);
    return Buffer.from(Array.from({ length: count }, () => next++ & 0xff));
  };
  return { drawn, random: { bytes, float: () => 0 } };
}

describe("hexadecimal ids", () => {
  it("have as many digits as were asked for, and are cut one behind the other", () => {
    const ids = new HexIds(countingRandom().random);
    expect([ids.next(4), ids.next(16), ids.next(2)]).toEqual(["0001", "0203040506070809", "0a"]);
  });

  it("never hand a digit out twice", () => {
    const { random } = countingRandom();
    const ids = new HexIds(random);
    // Not a divisor of the block, so that blocks end in the middle of an id.
    const all = Array.from({ length: 200 }, () => ids.next(48));
    expect(all.every((id) => id.length === 48)).toBe(true);
    const octets = all.slice(0, 20).flatMap((id) => [...Buffer.from(id, "hex")]);
    expect(octets.slice(1).every((octet, i) => octet !== octets[i])).toBe(true);
  });

  it("draw for many ids at a time", () => {
    const { drawn, random } = countingRandom();
    const ids = new HexIds(random);
    for (let i = 0; i < 512; i++) ids.next(16);
    expect(drawn).toHaveLength(1);
    ids.next(16);
    expect(drawn).toHaveLength(2);
  });
});
