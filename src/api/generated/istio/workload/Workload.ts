// Original file: src/api/proto/istio/workload.proto

import type { TunnelProtocol as _istio_workload_TunnelProtocol, TunnelProtocol__Output as _istio_workload_TunnelProtocol__Output } from '../../istio/workload/TunnelProtocol.ts';
import type { GatewayAddress as _istio_workload_GatewayAddress, GatewayAddress__Output as _istio_workload_GatewayAddress__Output } from '../../istio/workload/GatewayAddress.ts';
import type { WorkloadStatus as _istio_workload_WorkloadStatus, WorkloadStatus__Output as _istio_workload_WorkloadStatus__Output } from '../../istio/workload/WorkloadStatus.ts';
import type { PortList as _istio_workload_PortList, PortList__Output as _istio_workload_PortList__Output } from '../../istio/workload/PortList.ts';
import type { Extension as _istio_workload_Extension, Extension__Output as _istio_workload_Extension__Output } from '../../istio/workload/Extension.ts';

export interface Workload {
  'name'?: (string);
  'namespace'?: (string);
  'addresses'?: (Buffer | Uint8Array | string)[];
  'tunnelProtocol'?: (_istio_workload_TunnelProtocol);
  'trustDomain'?: (string);
  'serviceAccount'?: (string);
  'waypoint'?: (_istio_workload_GatewayAddress | null);
  'canonicalName'?: (string);
  'canonicalRevision'?: (string);
  'workloadName'?: (string);
  'status'?: (_istio_workload_WorkloadStatus);
  'uid'?: (string);
  'services'?: ({[key: string]: _istio_workload_PortList});
  'extensions'?: (_istio_workload_Extension)[];
}

export interface Workload__Output {
  'name': (string);
  'namespace': (string);
  'addresses': (Buffer)[];
  'tunnelProtocol': (_istio_workload_TunnelProtocol__Output);
  'trustDomain': (string);
  'serviceAccount': (string);
  'waypoint': (_istio_workload_GatewayAddress__Output | null);
  'canonicalName': (string);
  'canonicalRevision': (string);
  'workloadName': (string);
  'status': (_istio_workload_WorkloadStatus__Output);
  'uid': (string);
  'services': ({[key: string]: _istio_workload_PortList__Output});
  'extensions': (_istio_workload_Extension__Output)[];
}
