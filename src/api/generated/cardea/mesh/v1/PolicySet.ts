// Original file: src/api/proto/cardea/mesh/v1/policy.proto

import type { MeshSettings as _cardea_mesh_v1_MeshSettings, MeshSettings__Output as _cardea_mesh_v1_MeshSettings__Output } from '../../../cardea/mesh/v1/MeshSettings.ts';
import type { Labels as _cardea_mesh_v1_Labels, Labels__Output as _cardea_mesh_v1_Labels__Output } from '../../../cardea/mesh/v1/Labels.ts';

export interface PolicySet {
  'revision'?: (string);
  'settings'?: (_cardea_mesh_v1_MeshSettings | null);
  'hashes'?: ({[key: string]: string});
  'scope'?: (_cardea_mesh_v1_Labels)[];
}

export interface PolicySet__Output {
  'revision': (string);
  'settings': (_cardea_mesh_v1_MeshSettings__Output | null);
  'hashes': ({[key: string]: string});
  'scope': (_cardea_mesh_v1_Labels__Output)[];
}
