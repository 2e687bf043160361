import { DROP_REASONS, type HubbleFlow, type HubblePolicy } from "../../api/hubble-messages.ts";
import type { JsonValue } from "../../core/json-value.ts";
import type { FlowPeer, FlowRecord, Verdict } from "../../observe/flow.ts";
import { ProtobufReader } from "../../wire/protobuf-reader.ts";
import { STRUCT } from "../../wire/protobuf-struct.ts";
import { ProtobufWriter } from "../../wire/protobuf-writer.ts";
import { endpointOf } from "./endpoint.ts";
import { printableText, printableUrl } from "./printable-text.ts";

/** Who answers: the mesh is Hubble's cluster, and the control plane its only node. */
export interface ObserverPlace {
  readonly cluster: string;
  readonly node: string;
  readonly version: string;
}

/** Hubble's words for ours. */
export const VERDICT_OF = {
  allowed: "FORWARDED",
  denied: "DROPPED",
  "would-deny": "AUDIT",
  error: "ERROR",
} as const satisfies Record<Verdict, string>;

/** Cilium's message types (pkg/monitor/api): what a flow was made of. */
export const EVENT_TYPES = { drop: 1, trace: 4, policyVerdict: 5, accessLog: 129 } as const;

/**
 * A flow record as Hubble's flow: one for each, in the direction of the request, with how it was answered. Both sidecars
 * tell of an exchange: the caller's is EGRESS, the called one's INGRESS.
 */
export function flowMessageOf(flow: FlowRecord, place: ObserverPlace): HubbleFlow {
  const { source, destination, reporter, traceId } = flow;
  return {
    time: timestampOf(flow.timeMs),
    uuid: flow.id,
    emitter: { name: "Cardea", version: place.version },
    verdict: VERDICT_OF[flow.verdict],
    ...dropOf(flow),
    IP: {
      source: source.ip,
      destination: destination.ip,
      ipVersion: source.ip.includes(":") ? "IPv6" : "IPv4",
      encrypted: flow.tls.version !== null,
    },
    l4: { TCP: { sourcePort: source.port, destinationPort: destination.port } },
    source: endpointOf(source, place.cluster),
    destination: endpointOf(destination, place.cluster),
    nodeName: place.node,
    sourceNames: namesOf(source),
    destinationNames: namesOf(destination),
    sourceService: serviceOf(source),
    destinationService: serviceOf(destination),
    trafficDirection: reporter === "destination" ? "INGRESS" : "EGRESS",
    isReply: { value: false },
    traceContext: traceId === null ? null : { parent: { traceId } },
    ...(flow.protocol === "http" ? requestOf(flow) : connectionOf(flow)),
    ...policiesOf(flow),
  };
}

export function timestampOf(timeMs: number): { readonly seconds: number; readonly nanos: number } {
  const seconds = Math.floor(timeMs / 1_000);
  return { seconds, nanos: Math.round((timeMs - seconds * 1_000) * 1_000_000) };
}

function dropOf({ verdict, reason }: FlowRecord): Pick<HubbleFlow, "dropReason" | "dropReasonDesc"> {
  if (verdict !== "denied") return {};
  const name = dropReasonOf(reason);
  return { dropReason: DROP_REASONS[name], dropReasonDesc: name };
}

/** Cilium tells a rule that denies (POLICY_DENY) from no rule that allows (POLICY_DENIED). */
function dropReasonOf(reason: FlowRecord["reason"]): keyof typeof DROP_REASONS {
  if (reason === "deny-rule-matched" || reason === "custom-denied") return "POLICY_DENY";
  if (reason === "plaintext-refused") return "UNENCRYPTED_TRAFFIC";
  if (reason.startsWith("peer-") || reason === "tls-handshake-failed") return "AUTH_REQUIRED";
  return "POLICY_DENIED";
}

function namesOf({ service }: FlowPeer): readonly string[] {
  return service === null ? [] : [printableText(service)];
}

/** `payments.shop.svc.cluster.local` is payments of shop; a host that is not of that form is a name as a whole. */
function serviceOf({ service, namespace }: FlowPeer): NonNullable<HubbleFlow["sourceService"]> | null {
  if (service === null) return null;
  const [, name, itsNamespace] = /^([^.]+)\.([^.]+)\.svc(?:\.|$)/.exec(service) ?? [];
  return name === undefined
    ? { name: printableText(service), namespace: printableText(namespace ?? "") }
    : { name: printableText(name), namespace: printableText(itsNamespace!) };
}

function requestOf(flow: FlowRecord): Partial<HubbleFlow> {
  const { method, status, grpcStatus, durationMs } = flow;
  const protocol = grpcStatus === null ? "HTTP" : "HTTP/2";
  const url = urlOf(flow);
  const answer = grpcStatus === null ? String(status ?? "-") : `${status ?? "-"} gRPC ${grpcStatus}`;
  const words = `${protocol} ${answer} ${Math.round(durationMs)}ms (${printableText(method ?? "-")} ${url})`;
  return {
    Type: "L7",
    eventType: { type: EVENT_TYPES.accessLog },
    l7: {
      type: "REQUEST",
      latencyNs: Math.max(0, Math.round(durationMs * 1_000_000)),
      http: { code: status ?? 0, method: printableText(method ?? ""), url, protocol },
    },
    Summary: `${words}${whyOf(flow)}`,
  };
}

/** Records keep no query, and so there is none. */
function urlOf({ host, path, destination }: FlowRecord): string {
  const name = host ?? destination.service ?? destination.ip;
  return `http://${printableUrl(name)}${printableUrl(path ?? "")}`;
}

function connectionOf(flow: FlowRecord): Partial<HubbleFlow> {
  const { bytesReceived, bytesSent, durationMs } = flow;
  return {
    Type: "L3_L4",
    ...eventOf(flow),
    Summary: `TCP ${bytesReceived} B in, ${bytesSent} B out, ${Math.round(durationMs)}ms${whyOf(flow)}`,
  };
}

const L3_L4_MATCHED = 2;
const TO_PROXY = 1;

/** What Cilium would have told of it: a drop, a decision, or that the connection went to the proxy. */
function eventOf({ verdict, reporter, policy }: FlowRecord): Partial<HubbleFlow> {
  if (verdict === "denied") return { eventType: { type: EVENT_TYPES.drop, subType: DROP_REASONS.POLICY_DENIED } };
  if (verdict === "error" || reporter === "source")
    return { eventType: { type: EVENT_TYPES.trace, subType: TO_PROXY }, traceObservationPoint: "TO_PROXY" };
  const policyMatchType = policy === null ? 0 : L3_L4_MATCHED;
  return { eventType: { type: EVENT_TYPES.policyVerdict }, policyMatchType };
}

/** The id is what `cardea explain` takes. */
function whyOf({ verdict, reason, id }: FlowRecord): string {
  return verdict === "allowed" ? "" : `; ${reason}; cardea explain ${id}`;
}

function policiesOf({ policy, rule, revision, verdict, reporter }: FlowRecord): Partial<HubbleFlow> {
  if (policy === null || verdict === "error") return {};
  const [namespace = "", name = ""] = printableText(policy).split("/");
  const labels = [
    ...(rule === null ? [] : [`cardea:rule=${rule}`]),
    ...(revision === null ? [] : [`cardea:revision=${printableText(revision)}`]),
  ];
  // "mesh/default" is what the mesh does where no policy speaks.
  const kind = policy === "mesh/default" ? "Mesh" : "AuthorizationPolicy";
  const policies: readonly HubblePolicy[] = [{ name, namespace, kind, labels }];
  const isAllowed = verdict === "allowed";
  if (reporter === "destination") return isAllowed ? { ingressAllowedBy: policies } : { ingressDeniedBy: policies };
  return isAllowed ? { egressAllowedBy: policies } : { egressDeniedBy: policies };
}

/** What Hubble has no place for, as a google.protobuf.Struct, which every client can read. No filter asks for it. */
export function extensionsOf(flow: FlowRecord): NonNullable<HubbleFlow["extensions"]> {
  const facts: Record<string, JsonValue> = {
    id: flow.id,
    reason: flow.reason,
    detail: flow.detail,
    revision: flow.revision,
    auditedBy: flow.auditedBy,
    dryRun: flow.dryRun,
    dryRunBy: flow.dryRunBy,
    ticket: flow.ticket,
    sourcePrincipal: flow.source.principal,
    destinationPrincipal: flow.destination.principal,
    requestPrincipal: flow.requestPrincipal,
    tlsVersion: flow.tls.version,
    tlsGroup: flow.tls.group,
    grpcStatus: flow.grpcStatus,
    bytesReceived: flow.bytesReceived,
    bytesSent: flow.bytesSent,
    endedBy: flow.endedBy,
    attempts: flow.attempts,
    route: flow.route,
    spanId: flow.spanId,
  };
  const known = Object.entries(facts)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => [name, typeof value === "string" ? printableText(value) : value]);
  const writer = new ProtobufWriter();
  STRUCT.write(writer, Object.fromEntries(known) as Record<string, JsonValue>);
  const value = new ProtobufReader(writer.finish()).bytes();
  return { type_url: "type.googleapis.com/google.protobuf.Struct", value };
}
