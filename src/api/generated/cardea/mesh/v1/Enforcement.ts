// Original file: src/api/proto/cardea/mesh/v1/policy.proto

export const Enforcement = {
  ENFORCE: 'ENFORCE',
  AUDIT: 'AUDIT',
} as const;

export type Enforcement =
  | 'ENFORCE'
  | 0
  | 'AUDIT'
  | 1

export type Enforcement__Output = typeof Enforcement[keyof typeof Enforcement]
