// Original file: src/api/proto/cardea/mesh/v1/policy.proto


export interface PlaintextPorts {
  'allBut'?: (boolean);
  'ports'?: (number)[];
}

export interface PlaintextPorts__Output {
  'allBut': (boolean);
  'ports': (number)[];
}
