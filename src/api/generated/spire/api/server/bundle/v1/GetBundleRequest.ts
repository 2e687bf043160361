// Original file: src/api/proto/spire/api/server/bundle/v1/bundle.proto


export interface GetBundleRequest {
}

export interface GetBundleRequest__Output {
}
