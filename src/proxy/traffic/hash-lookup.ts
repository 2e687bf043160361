/** A key's 32-bit hash → the index of the name that it belongs to. */
export type HashLookup = (hash: number) => number;
