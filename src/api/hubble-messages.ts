import { field, message, repeated } from "../wire/protobuf-fields.ts";
import { ANY } from "./messages.ts";
import { messageOf } from "../wire/protobuf-message.ts";
import { BOOL, enumOf, INT32, INT64, STRING, UINT32, UINT64, type ValueType } from "../wire/protobuf-values.ts";
import { WIRE_TYPES } from "../wire/protobuf-reader.ts";

// Hubble's observer API (proto/observer, proto/flow, proto/relay) as tables of fields.

/** The paths of its methods. The last two tell of Cilium's own parts. */
export const OBSERVER_API = {
  getFlows: "/observer.Observer/GetFlows",
  getNodes: "/observer.Observer/GetNodes",
  getNamespaces: "/observer.Observer/GetNamespaces",
  serverStatus: "/observer.Observer/ServerStatus",
  getAgentEvents: "/observer.Observer/GetAgentEvents",
  getDebugEvents: "/observer.Observer/GetDebugEvents",
} as const;

export const VERDICT_NAMES = {
  VERDICT_UNKNOWN: 0,
  FORWARDED: 1,
  DROPPED: 2,
  ERROR: 3,
  AUDIT: 4,
  REDIRECTED: 5,
  TRACED: 6,
  TRANSLATED: 7,
} as const;

/** Those of Cilium's reasons that a mesh has, too. */
export const DROP_REASONS = {
  DROP_REASON_UNKNOWN: 0,
  POLICY_DENIED: 133,
  POLICY_DENY: 181,
  AUTH_REQUIRED: 189,
  UNENCRYPTED_TRAFFIC: 195,
} as const;

const DOUBLE: ValueType<number> = {
  wireType: WIRE_TYPES.fixed64,
  zero: () => 0,
  read: (reader) => reader.double(),
  write: (writer, value) => writer.double(value),
  isZero: (value) => Object.is(value, 0),
};

const VERDICT = enumOf(VERDICT_NAMES);
const DROP_REASON = enumOf(DROP_REASONS);
const FLOW_TYPE = enumOf({ UNKNOWN_TYPE: 0, L3_L4: 1, L7: 2, SOCK: 3 });
const L7_TYPE = enumOf({ UNKNOWN_L7_TYPE: 0, REQUEST: 1, RESPONSE: 2, SAMPLE: 3 });
const DIRECTION = enumOf({ TRAFFIC_DIRECTION_UNKNOWN: 0, INGRESS: 1, EGRESS: 2 });
const IP_VERSION = enumOf({ IP_NOT_USED: 0, IPv4: 1, IPv6: 2 });
const OBSERVATION_POINT = enumOf({ UNKNOWN_POINT: 0, TO_PROXY: 1 });
const NODE_STATE = enumOf({
  UNKNOWN_NODE_STATE: 0,
  NODE_CONNECTED: 1,
  NODE_UNAVAILABLE: 2,
  NODE_GONE: 3,
  NODE_ERROR: 4,
});
const LOST_SOURCE = enumOf({
  UNKNOWN_LOST_EVENT_SOURCE: 0,
  PERF_EVENT_RING_BUFFER: 1,
  OBSERVER_EVENTS_QUEUE: 2,
  HUBBLE_RING_BUFFER: 3,
});

const TIMESTAMP = messageOf({ seconds: field(1, INT64), nanos: field(2, INT32) });
const WORKLOAD = messageOf({ name: field(1, STRING), kind: field(2, STRING) });

const ENDPOINT = messageOf({
  identity: field(2, UINT32),
  namespace: field(3, STRING),
  labels: repeated(4, STRING),
  podName: field(5, STRING),
  workloads: repeated(6, WORKLOAD),
  clusterName: field(7, STRING),
});

const SERVICE = messageOf({ name: field(1, STRING), namespace: field(2, STRING) });

const POLICY = messageOf({
  name: field(1, STRING),
  namespace: field(2, STRING),
  labels: repeated(3, STRING),
  revision: field(4, UINT64),
  kind: field(5, STRING),
});

const HTTP = messageOf({
  code: field(1, UINT32),
  method: field(2, STRING),
  url: field(3, STRING),
  protocol: field(4, STRING),
});

export const FLOW = messageOf({
  time: message(1, TIMESTAMP),
  verdict: field(2, VERDICT),
  dropReason: field(3, UINT32),
  IP: message(
    5,
    messageOf({
      source: field(1, STRING),
      destination: field(2, STRING),
      ipVersion: field(3, IP_VERSION),
      encrypted: field(4, BOOL),
    }),
  ),
  l4: message(
    6,
    messageOf({ TCP: message(1, messageOf({ sourcePort: field(1, UINT32), destinationPort: field(2, UINT32) })) }),
  ),
  source: message(8, ENDPOINT),
  destination: message(9, ENDPOINT),
  Type: field(10, FLOW_TYPE),
  nodeName: field(11, STRING),
  sourceNames: repeated(13, STRING),
  destinationNames: repeated(14, STRING),
  l7: message(15, messageOf({ type: field(1, L7_TYPE), latencyNs: field(2, UINT64), http: message(101, HTTP) })),
  eventType: message(19, messageOf({ type: field(1, INT32), subType: field(2, INT32) })),
  sourceService: message(20, SERVICE),
  destinationService: message(21, SERVICE),
  trafficDirection: field(22, DIRECTION),
  policyMatchType: field(23, UINT32),
  traceObservationPoint: field(24, OBSERVATION_POINT),
  dropReasonDesc: field(25, DROP_REASON),
  isReply: message(26, messageOf({ value: field(1, BOOL) })),
  traceContext: message(30, messageOf({ parent: message(1, messageOf({ traceId: field(1, STRING) })) })),
  uuid: field(34, STRING),
  emitter: message(41, messageOf({ name: field(1, STRING), version: field(2, STRING) })),
  egressAllowedBy: repeated(21_001, POLICY),
  ingressAllowedBy: repeated(21_002, POLICY),
  egressDeniedBy: repeated(21_004, POLICY),
  ingressDeniedBy: repeated(21_005, POLICY),
  Summary: field(100_000, STRING),
  extensions: message(150_000, ANY),
});

/** Fields as they are filled; one that is left out is absent on the wire. */
export type HubbleFlow = Parameters<typeof FLOW.serialize>[0];
export type HubbleEndpoint = Parameters<typeof ENDPOINT.serialize>[0];
export type HubblePolicy = Parameters<typeof POLICY.serialize>[0];

export const FLOW_FILTER = messageOf({
  sourceIp: repeated(1, STRING),
  sourcePod: repeated(2, STRING),
  destinationIp: repeated(3, STRING),
  destinationPod: repeated(4, STRING),
  verdict: repeated(5, VERDICT),
  eventType: repeated(6, messageOf({ type: field(1, INT32), matchSubType: field(2, BOOL), subType: field(3, INT32) })),
  sourceFqdn: repeated(7, STRING),
  destinationFqdn: repeated(8, STRING),
  httpStatusCode: repeated(9, STRING),
  sourceLabel: repeated(10, STRING),
  destinationLabel: repeated(11, STRING),
  protocol: repeated(12, STRING),
  sourcePort: repeated(13, STRING),
  destinationPort: repeated(14, STRING),
  reply: repeated(15, BOOL),
  sourceService: repeated(16, STRING),
  destinationService: repeated(17, STRING),
  sourceIdentity: repeated(19, UINT32),
  destinationIdentity: repeated(20, UINT32),
  httpMethod: repeated(21, STRING),
  httpPath: repeated(22, STRING),
  nodeName: repeated(24, STRING),
  ipVersion: repeated(25, IP_VERSION),
  sourceWorkload: repeated(26, WORKLOAD),
  destinationWorkload: repeated(27, WORKLOAD),
  traceId: repeated(28, STRING),
  uuid: repeated(29, STRING),
  trafficDirection: repeated(30, DIRECTION),
  httpUrl: repeated(31, STRING),
  dropReasonDesc: repeated(33, DROP_REASON),
  sourceClusterName: repeated(37, STRING),
  destinationClusterName: repeated(38, STRING),
  encrypted: repeated(40, BOOL),
});
export type HubbleFilter = ReturnType<typeof FLOW_FILTER.deserialize>;

export const GET_FLOWS_REQUEST = messageOf({
  // Read as a signed number: "all that there is" is the largest of 64 bits, which comes out as -1.
  number: field(1, INT64),
  follow: field(3, BOOL),
  blacklist: repeated(5, FLOW_FILTER),
  whitelist: repeated(6, FLOW_FILTER),
  since: message(7, TIMESTAMP),
  until: message(8, TIMESTAMP),
  first: field(9, BOOL),
  fieldMask: message(10, messageOf({ paths: repeated(1, STRING) })),
});

const LOST_EVENT = messageOf({
  source: field(1, LOST_SOURCE),
  numEventsLost: field(2, UINT64),
  first: message(4, TIMESTAMP),
  last: message(5, TIMESTAMP),
});

const NODE_STATUS = messageOf({
  stateChange: field(1, NODE_STATE),
  nodeNames: repeated(2, STRING),
  message: field(3, STRING),
});

export const GET_FLOWS_RESPONSE = messageOf(
  {
    flow: message(1, FLOW),
    nodeStatus: message(2, NODE_STATUS),
    lostEvents: message(3, LOST_EVENT),
    nodeName: field(1000, STRING),
    time: message(1001, TIMESTAMP),
  },
  ["flow", "nodeStatus", "lostEvents"],
);
export type HubbleResponse = Parameters<typeof GET_FLOWS_RESPONSE.serialize>[0];

const UINT32_VALUE = messageOf({ value: field(1, UINT32) });

export const SERVER_STATUS_RESPONSE = messageOf({
  numFlows: field(1, UINT64),
  maxFlows: field(2, UINT64),
  seenFlows: field(3, UINT64),
  uptimeNs: field(4, UINT64),
  numConnectedNodes: message(5, UINT32_VALUE),
  numUnavailableNodes: message(6, UINT32_VALUE),
  unavailableNodes: repeated(7, STRING),
  version: field(8, STRING),
  flowsRate: field(9, DOUBLE),
});

const NODE = messageOf({
  name: field(1, STRING),
  version: field(2, STRING),
  address: field(3, STRING),
  state: field(4, NODE_STATE),
  tls: message(5, messageOf({ enabled: field(1, BOOL), serverName: field(2, STRING) })),
  uptimeNs: field(6, UINT64),
  numFlows: field(7, UINT64),
  maxFlows: field(8, UINT64),
  seenFlows: field(9, UINT64),
});

export const GET_NODES_RESPONSE = messageOf({ nodes: repeated(1, NODE) });

export const GET_NAMESPACES_RESPONSE = messageOf({
  namespaces: repeated(1, messageOf({ cluster: field(1, STRING), namespace: field(2, STRING) })),
});
