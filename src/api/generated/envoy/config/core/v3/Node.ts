// Original file: src/api/proto/envoy/config/core/v3/base.proto


export interface Node {
  'id'?: (string);
}

export interface Node__Output {
  'id': (string);
}
