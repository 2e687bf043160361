// Original file: src/api/proto/cardea/mesh/v1/policy.proto


export interface Labels {
  'labels'?: ({[key: string]: string});
}

export interface Labels__Output {
  'labels': ({[key: string]: string});
}
