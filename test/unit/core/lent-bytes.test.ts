import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { giveBack, isKept, keepLent } from "../../../src/core/lent-bytes.ts";

describe("lent bytes", () => {
  it("are a copy", () => {
    for (const length of [1, 8_191, 8_192, 65_536, 65_537]) {
      const lent = randomBytes(length);
      const expected = Buffer.from(lent);
      const kept = keepLent(lent);
      lent.fill(0);
      expect(kept.equals(expected)).toBe(true);
    }
  });

  it("lie one behind the other, so that one write can take several", () => {
    const [first, second] = [keepLent(Buffer.alloc(8_192)), keepLent(Buffer.alloc(8_192))];
    expect(second.buffer).toBe(first.buffer);
    expect(second.byteOffset).toBe(first.byteOffset + 8_192);
  });

  it("are never overwritten while one of them has not been given back, whole or in parts", () => {
    const held: { kept: Buffer; expected: Buffer }[] = [];
    for (let round = 0; round < 400; round++) {
      const lent = Buffer.alloc(8_192 + ((round * 7_919) % 57_000), round);
      held.push({ kept: keepLent(lent), expected: Buffer.from(lent) });
      // Every third stays for good.
      if (round % 3 === 0) continue;
      const { kept, expected } = held.splice(round % held.length, 1)[0]!;
      expect(kept.equals(expected)).toBe(true);
      giveBack(kept.subarray(0, 1_000));
      giveBack(kept.subarray(1_000));
    }
    for (const { kept, expected } of held) expect(kept.equals(expected)).toBe(true);
  });

  it("go into the same memory again once all of it has been given back", () => {
    const memory = new Set<ArrayBufferLike>();
    for (let round = 0; round < 100; round++) {
      const pieces = [keepLent(Buffer.alloc(60_000)), keepLent(Buffer.alloc(60_000)), keepLent(Buffer.alloc(60_000))];
      for (const piece of pieces) memory.add(piece.buffer);
      for (const piece of pieces) giveBack(piece);
    }
    expect(memory.size).toBeLessThanOrEqual(4);
  });

  it("are not touched by what belongs to somebody else", () => {
    const other = Buffer.alloc(65_536);
    giveBack(other);
    expect(isKept(other)).toBe(false);
    expect(isKept(keepLent(Buffer.alloc(100)))).toBe(false);
    expect(isKept(keepLent(Buffer.alloc(10_000)))).toBe(true);
  });
});
