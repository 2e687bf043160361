// Original file: src/api/proto/cardea/mesh/v1/policy.proto

export const PathNormalization = {
  BASE: 'BASE',
  NONE: 'NONE',
  MERGE_SLASHES: 'MERGE_SLASHES',
  DECODE_AND_MERGE_SLASHES: 'DECODE_AND_MERGE_SLASHES',
} as const;

export type PathNormalization =
  | 'BASE'
  | 0
  | 'NONE'
  | 1
  | 'MERGE_SLASHES'
  | 2
  | 'DECODE_AND_MERGE_SLASHES'
  | 3

export type PathNormalization__Output = typeof PathNormalization[keyof typeof PathNormalization]
