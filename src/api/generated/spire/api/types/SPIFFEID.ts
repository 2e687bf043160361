// Original file: src/api/proto/spire/api/types/spiffeid.proto


export interface SPIFFEID {
  'trustDomain'?: (string);
  'path'?: (string);
}

export interface SPIFFEID__Output {
  'trustDomain': (string);
  'path': (string);
}
