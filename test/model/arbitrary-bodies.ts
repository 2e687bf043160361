import * as fc from "fast-check";

/** Sizes around everything that has one: frames, windows, buffers. */
export const BYTES = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 100 }) },
  { weight: 2, arbitrary: fc.integer({ min: 0, max: 20_000 }) },
  { weight: 1, arbitrary: fc.integer({ min: 60_000, max: 400_000 }) },
  { weight: 2, arbitrary: fc.constantFrom(0, 1, 16_383, 16_384, 16_385, 65_535, 65_536, 262_144, 262_145) },
);

/** In which something is written. */
export const PIECES = fc.array(
  fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 500, max: 70_000 }), fc.constant(16_384)),
  { minLength: 1, maxLength: 4 },
);

export function rarely(oneIn: number): fc.Arbitrary<boolean> {
  return fc.integer({ min: 1, max: oneIn }).map((drawn) => drawn === oneIn);
}

/** Null, but for one in so many. */
export function onceIn<T>(oneIn: number, of: fc.Arbitrary<T>): fc.Arbitrary<T | null> {
  return fc.oneof({ weight: oneIn - 1, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: of });
}
