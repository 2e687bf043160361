// Original file: src/api/proto/istio/workload.proto

import type { NetworkAddress as _istio_workload_NetworkAddress, NetworkAddress__Output as _istio_workload_NetworkAddress__Output } from '../../istio/workload/NetworkAddress.ts';

export interface GatewayAddress {
  'address'?: (_istio_workload_NetworkAddress | null);
  'hboneMtlsPort'?: (number);
  'destination'?: "address";
}

export interface GatewayAddress__Output {
  'address'?: (_istio_workload_NetworkAddress__Output | null);
  'hboneMtlsPort': (number);
  'destination'?: "address";
}
