// Original file: src/api/proto/cardea/mesh/v1/policy.proto


export interface Policy {
  'namespace'?: (string);
  'name'?: (string);
  'kind'?: (string);
  'document'?: (string);
  'file'?: (string);
  'line'?: (number);
}

export interface Policy__Output {
  'namespace': (string);
  'name': (string);
  'kind': (string);
  'document': (string);
  'file': (string);
  'line': (number);
}
