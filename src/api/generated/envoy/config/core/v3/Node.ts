// Original file: src/api/proto/envoy/config/core/v3/base.proto

import type { BuildVersion as _envoy_config_core_v3_BuildVersion, BuildVersion__Output as _envoy_config_core_v3_BuildVersion__Output } from '../../../../envoy/config/core/v3/BuildVersion.ts';

export interface Node {
  'id'?: (string);
  'userAgentBuildVersion'?: (_envoy_config_core_v3_BuildVersion | null);
}

export interface Node__Output {
  'id': (string);
  'userAgentBuildVersion': (_envoy_config_core_v3_BuildVersion__Output | null);
}
