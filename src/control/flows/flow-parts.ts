import { type FlowPeer, type FlowRecord, VERDICTS } from "../../observe/flow.ts";
import type { EdgeSum, StatusClass } from "./query.ts";

// A flow in parts: what many flows have in common stands in dictionaries, as JSON lists, and the rest in its row.

/** What a roll-up tells apart, but for how it came out. */
export type EdgeKey = readonly [
  reporter: FlowRecord["reporter"],
  protocol: FlowRecord["protocol"],
  tlsVersion: string | null,
  tlsGroup: string | null,
  port: number,
  ...source: PeerKey,
  ...destination: PeerKey,
];
type PeerKey = readonly [
  namespace: string | null,
  workload: string | null,
  service: string | null,
  principal: string | null,
];

export function edgeKeyOf(flow: FlowRecord): EdgeKey {
  const { reporter, protocol, tls, source, destination } = flow;
  return [
    reporter,
    protocol,
    tls.version,
    tls.group,
    destination.port,
    ...peerKeyOf(source),
    ...peerKeyOf(destination),
  ];
}

function peerKeyOf({ namespace, workload, service, principal }: FlowPeer): PeerKey {
  return [namespace, workload, service, principal];
}

/** How it came out, in a roll-up: a number below KIND_COUNT. */
export function kindOf({ verdict, status }: Pick<FlowRecord, "verdict" | "status">): number {
  return VERDICTS.indexOf(verdict) * CLASS_COUNT + statusClassOf(status);
}

const CLASS_COUNT = 6;
export const KIND_COUNT = 32;

function statusClassOf(status: number | null): StatusClass {
  return status === null || status < 100 || status > 599 ? 0 : (Math.floor(status / 100) as StatusClass);
}

export type EdgeFacts = Pick<
  EdgeSum,
  "source" | "destination" | "protocol" | "reporter" | "verdict" | "statusClass" | "tls"
>;

export function edgeFactsOf(key: EdgeKey, kind: number): EdgeFacts {
  const [reporter, protocol, version, group, port, sNamespace, sWorkload, sService, sPrincipal, ...to] = key;
  const [namespace, workload, service, principal] = to;
  return {
    source: { namespace: sNamespace, workload: sWorkload, service: sService, principal: sPrincipal },
    destination: { namespace, workload, service, principal, port },
    protocol,
    reporter,
    verdict: VERDICTS[Math.floor(kind / CLASS_COUNT)]!,
    statusClass: (kind % CLASS_COUNT) as StatusClass,
    tls: { version, group },
  };
}

/** Of one pair of workloads' instances: what an edge does not say of a flow's two sides. */
export type LinkKey = readonly [
  edge: number,
  sourceIp: string,
  destinationIp: string,
  sourceLabels: FlowPeer["labels"],
  destinationLabels: FlowPeer["labels"],
  sni: string | null,
  servicePort: number | null,
];

export function linkKeyOf(edge: number, { source, destination, tls, servicePort }: FlowRecord): LinkKey {
  return [edge, source.ip, destination.ip, source.labels, destination.labels, tls.sni, servicePort];
}

/** How it came out in full, and what was asked for without host and path. */
const OUTCOME_FIELDS = [
  "verdict",
  "reason",
  "policy",
  "rule",
  "revision",
  "auditedBy",
  "dryRun",
  "dryRunBy",
  "endedBy",
  "method",
  "status",
  "grpcStatus",
  "route",
  "attempts",
  "retriedFor",
  "ticket",
  "sampledFrom",
] as const satisfies readonly (keyof FlowRecord)[];

export type Outcome = Pick<FlowRecord, (typeof OUTCOME_FIELDS)[number]>;

export function outcomeText(flow: FlowRecord): string {
  return JSON.stringify(OUTCOME_FIELDS.map((name) => flow[name]));
}

export function parseOutcome(text: string): Outcome {
  const values = JSON.parse(text) as unknown[];
  return Object.fromEntries(OUTCOME_FIELDS.map((name, i) => [name, values[i] ?? null])) as unknown as Outcome;
}

/** Fields that few flows have: they stand in the row, as JSON, where there are any. */
const RARE_FIELDS = [
  "detail",
  "remoteIp",
  "receivedPath",
  "appSni",
  "requestPrincipal",
] as const satisfies readonly (keyof FlowRecord)[];

type Rare = Pick<FlowRecord, (typeof RARE_FIELDS)[number]>;

export function rareText(flow: FlowRecord): string | null {
  const isBare =
    flow.detail === null &&
    flow.remoteIp === null &&
    flow.receivedPath === null &&
    flow.appSni === null &&
    flow.requestPrincipal === null;
  return isBare ? null : JSON.stringify(RARE_FIELDS.map((name) => flow[name]));
}

export function parseRare(text: string | null): Rare {
  if (text === null) return { detail: null, remoteIp: null, receivedPath: null, appSni: null, requestPrincipal: null };
  const [detail, remoteIp, receivedPath, appSni, requestPrincipal] = JSON.parse(text) as (string | null)[];
  return {
    detail: detail ?? null,
    remoteIp: remoteIp ?? null,
    receivedPath: receivedPath ?? null,
    appSni: appSni ?? null,
    requestPrincipal: requestPrincipal ?? null,
  };
}
