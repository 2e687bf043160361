// Original file: src/api/proto/cardea/mesh/v1/policy.proto

import type { Enforcement as _cardea_mesh_v1_Enforcement, Enforcement__Output as _cardea_mesh_v1_Enforcement__Output } from '../../../cardea/mesh/v1/Enforcement.ts';
import type { DefaultAction as _cardea_mesh_v1_DefaultAction, DefaultAction__Output as _cardea_mesh_v1_DefaultAction__Output } from '../../../cardea/mesh/v1/DefaultAction.ts';
import type { PathNormalization as _cardea_mesh_v1_PathNormalization, PathNormalization__Output as _cardea_mesh_v1_PathNormalization__Output } from '../../../cardea/mesh/v1/PathNormalization.ts';

export interface MeshSettings {
  'trustDomain'?: (string);
  'trustDomainAliases'?: (string)[];
  'rootNamespace'?: (string);
  'enforcement'?: (_cardea_mesh_v1_Enforcement);
  'defaultAction'?: (_cardea_mesh_v1_DefaultAction);
  'pathNormalization'?: (_cardea_mesh_v1_PathNormalization);
  'numTrustedProxies'?: (number);
  'extensionProviders'?: (string)[];
}

export interface MeshSettings__Output {
  'trustDomain': (string);
  'trustDomainAliases': (string)[];
  'rootNamespace': (string);
  'enforcement': (_cardea_mesh_v1_Enforcement__Output);
  'defaultAction': (_cardea_mesh_v1_DefaultAction__Output);
  'pathNormalization': (_cardea_mesh_v1_PathNormalization__Output);
  'numTrustedProxies': (number);
  'extensionProviders': (string)[];
}
