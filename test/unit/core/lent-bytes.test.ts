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

  it.each([
    ["twice", (kept: Buffer) => [kept, kept]],
    ["twice in part", (kept: Buffer) => [kept.subarray(100, 200), kept.subarray(150, 160)]],
    ["as more than was kept", (kept: Buffer) => [kept, Buffer.from(kept.buffer, kept.byteOffset, kept.length + 1)]],
  ])("cannot be given back %s", (_, returns) => {
    // A neighbour that somebody has keeps the slab from being used again.
    const kept = keepLent(Buffer.alloc(10_000));
    const neighbour = keepLent(Buffer.alloc(10_000, 7));
    const [first, second] = returns(kept);
    giveBack(first!);
    expect(() => giveBack(second!)).toThrow(expect.objectContaining({ code: "internal" }));
    expect(neighbour.every((octet) => octet === 7)).toBe(true);
  });

  it("can be given back in parts of any order, and neighbours as one", () => {
    const [first, second] = [keepLent(Buffer.alloc(10_000)), keepLent(Buffer.alloc(10_000))];
    expect(second.buffer).toBe(first.buffer);
    giveBack(Buffer.from(first.buffer, first.byteOffset + 5_000, 10_000));
    giveBack(first.subarray(0, 5_000));
    giveBack(second.subarray(5_000));
    expect(() => giveBack(second)).toThrow(expect.objectContaining({ code: "internal" }));
  });

  it("are not touched by what belongs to somebody else", () => {
    const other = Buffer.alloc(65_536);
    giveBack(other);
    expect(isKept(other)).toBe(false);
    expect(isKept(keepLent(Buffer.alloc(100)))).toBe(false);
    expect(isKept(keepLent(Buffer.alloc(10_000)))).toBe(true);
  });
});
