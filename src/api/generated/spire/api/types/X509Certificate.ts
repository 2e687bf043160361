// Original file: src/api/proto/spire/api/types/bundle.proto


export interface X509Certificate {
  'asn1'?: (Buffer | Uint8Array | string);
}

export interface X509Certificate__Output {
  'asn1': (Buffer);
}
