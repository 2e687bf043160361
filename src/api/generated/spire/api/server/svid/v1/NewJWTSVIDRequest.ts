// Original file: src/api/proto/spire/api/server/svid/v1/svid.proto


export interface NewJWTSVIDRequest {
  'entryId'?: (string);
  'audience'?: (string)[];
}

export interface NewJWTSVIDRequest__Output {
  'entryId': (string);
  'audience': (string)[];
}
