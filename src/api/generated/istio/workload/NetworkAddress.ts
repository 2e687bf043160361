// Original file: src/api/proto/istio/workload.proto


export interface NetworkAddress {
  'network'?: (string);
  'address'?: (Buffer | Uint8Array | string);
}

export interface NetworkAddress__Output {
  'network': (string);
  'address': (Buffer);
}
