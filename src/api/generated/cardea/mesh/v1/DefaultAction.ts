// Original file: src/api/proto/cardea/mesh/v1/policy.proto

export const DefaultAction = {
  DENY: 'DENY',
  ALLOW: 'ALLOW',
} as const;

export type DefaultAction =
  | 'DENY'
  | 0
  | 'ALLOW'
  | 1

export type DefaultAction__Output = typeof DefaultAction[keyof typeof DefaultAction]
