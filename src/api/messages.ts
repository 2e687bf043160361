import { field, mapOf, message, repeated } from "../wire/protobuf-fields.ts";
import { type MessageOf, messageOf } from "../wire/protobuf-message.ts";
import { BOOL, BYTES, enumOf, INT32, INT64, STRING, UINT32 } from "../wire/protobuf-values.ts";

// The messages that a sidecar exchanges with the control plane, as tables of their fields. The definitions stand in
// proto/; test/unit/api/messages.test.ts holds every field here against them, and both against an independent library.

export const ANY = messageOf({ type_url: field(1, STRING), value: field(2, BYTES) });

const VERSION = messageOf({ majorNumber: field(1, UINT32), minorNumber: field(2, UINT32), patch: field(3, UINT32) });

const BUILD_VERSION = messageOf({ version: message(1, VERSION) });

export const NODE = messageOf({ id: field(1, STRING), userAgentBuildVersion: message(8, BUILD_VERSION) });

export type NodeMessage = MessageOf<typeof NODE>;

export const STATUS = messageOf({ code: field(1, INT32), message: field(2, STRING) });

export const DELTA_DISCOVERY_REQUEST = messageOf({
  node: message(1, NODE),
  typeUrl: field(2, STRING),
  resourceNamesSubscribe: repeated(3, STRING),
  resourceNamesUnsubscribe: repeated(4, STRING),
  initialResourceVersions: mapOf(5, STRING),
  responseNonce: field(6, STRING),
  errorDetail: message(7, STATUS),
});

const RESOURCE = messageOf({ version: field(1, STRING), resource: message(2, ANY), name: field(3, STRING) });
export type Resource = MessageOf<typeof RESOURCE>;

export const DELTA_DISCOVERY_RESPONSE = messageOf({
  systemVersionInfo: field(1, STRING),
  resources: repeated(2, RESOURCE),
  typeUrl: field(4, STRING),
  nonce: field(5, STRING),
  removedResources: repeated(6, STRING),
});
export type DeltaDiscoveryResponse = MessageOf<typeof DELTA_DISCOVERY_RESPONSE>;

const PORT = messageOf({
  servicePort: field(1, UINT32),
  targetPort: field(2, UINT32),
  appProtocol: field(3, enumOf({ UNKNOWN: 0, HTTP11: 1, HTTP2: 2, GRPC: 3, TCP: 4, TLS: 5 })),
});
export type Port = MessageOf<typeof PORT>;

const PORT_LIST = messageOf({ ports: repeated(1, PORT) });

const NETWORK_ADDRESS = messageOf({ network: field(1, STRING), address: field(2, BYTES) });

const SERVICE = messageOf({
  name: field(1, STRING),
  namespace: field(2, STRING),
  hostname: field(3, STRING),
  addresses: repeated(4, NETWORK_ADDRESS),
  ports: repeated(5, PORT),
});
export type Service = MessageOf<typeof SERVICE>;

const GATEWAY_ADDRESS = messageOf({ address: message(2, NETWORK_ADDRESS), hboneMtlsPort: field(3, UINT32) });

const EXTENSION = messageOf({ name: field(1, STRING), config: message(2, ANY) });

const WORKLOAD = messageOf({
  name: field(1, STRING),
  namespace: field(2, STRING),
  addresses: repeated(3, BYTES),
  tunnelProtocol: field(5, enumOf({ NONE: 0, HBONE: 1, LEGACY_ISTIO_MTLS: 2 })),
  trustDomain: field(6, STRING),
  serviceAccount: field(7, STRING),
  waypoint: message(8, GATEWAY_ADDRESS),
  canonicalName: field(10, STRING),
  canonicalRevision: field(11, STRING),
  workloadName: field(13, STRING),
  status: field(17, enumOf({ HEALTHY: 0, UNHEALTHY: 1 })),
  uid: field(20, STRING),
  services: mapOf(22, PORT_LIST),
  extensions: repeated(26, EXTENSION),
});
export type Workload = MessageOf<typeof WORKLOAD>;

/** A resource of type istio.workload.Address. */
export const ADDRESS = messageOf({ workload: message(1, WORKLOAD), service: message(2, SERVICE) }, [
  "workload",
  "service",
]);

/** A resource of type cardea.mesh.v1.Policy. */
export const POLICY = messageOf({
  namespace: field(1, STRING),
  name: field(2, STRING),
  kind: field(3, STRING),
  document: field(4, STRING),
  file: field(5, STRING),
  line: field(6, UINT32),
});
export type Policy = MessageOf<typeof POLICY>;

const MESH_SETTINGS = messageOf({
  trustDomain: field(1, STRING),
  trustDomainAliases: repeated(2, STRING),
  rootNamespace: field(3, STRING),
  enforcement: field(4, enumOf({ ENFORCE: 0, AUDIT: 1 })),
  defaultAction: field(5, enumOf({ DENY: 0, ALLOW: 1 })),
  pathNormalization: field(6, enumOf({ BASE: 0, NONE: 1, MERGE_SLASHES: 2, DECODE_AND_MERGE_SLASHES: 3 })),
  numTrustedProxies: field(7, UINT32),
  extensionProviders: repeated(8, STRING),
});

/** In an extension of a workload. */
export const PLAINTEXT_PORTS = messageOf({ allBut: field(1, BOOL), ports: repeated(2, UINT32) });

const LABELS = messageOf({ labels: mapOf(1, STRING) });

/** A resource of type cardea.mesh.v1.PolicySet. */
export const POLICY_SET = messageOf({
  revision: field(1, STRING),
  settings: message(2, MESH_SETTINGS),
  hashes: mapOf(3, STRING),
  scope: repeated(4, LABELS),
});
export type PolicySet = MessageOf<typeof POLICY_SET>;

/** `metadata` is left out: nothing of ours is said by it. */
export const ISTIO_CERTIFICATE_REQUEST = messageOf({ csr: field(1, STRING), validityDuration: field(3, INT64) });

export const ISTIO_CERTIFICATE_RESPONSE = messageOf({ certChain: repeated(1, STRING) });
