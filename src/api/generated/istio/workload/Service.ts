// Original file: src/api/proto/istio/workload.proto

import type { NetworkAddress as _istio_workload_NetworkAddress, NetworkAddress__Output as _istio_workload_NetworkAddress__Output } from '../../istio/workload/NetworkAddress.ts';
import type { Port as _istio_workload_Port, Port__Output as _istio_workload_Port__Output } from '../../istio/workload/Port.ts';

export interface Service {
  'name'?: (string);
  'namespace'?: (string);
  'hostname'?: (string);
  'addresses'?: (_istio_workload_NetworkAddress)[];
  'ports'?: (_istio_workload_Port)[];
}

export interface Service__Output {
  'name': (string);
  'namespace': (string);
  'hostname': (string);
  'addresses': (_istio_workload_NetworkAddress__Output)[];
  'ports': (_istio_workload_Port__Output)[];
}
