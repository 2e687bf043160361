// Original file: src/api/proto/envoy/config/core/v3/base.proto


export interface DataSource {
  'inlineBytes'?: (Buffer | Uint8Array | string);
}

export interface DataSource__Output {
  'inlineBytes': (Buffer);
}
