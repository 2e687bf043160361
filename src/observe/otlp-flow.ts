import { ProtobufBytes } from "../wire/protobuf-bytes.ts";
import { FLOW_FIELDS, type FlowPeer, type FlowRecord, type FlowTls, type Verdict } from "./flow.ts";
import {
  type AttributeKey,
  ATTRIBUTES_TAG,
  attributeKey,
  putDouble,
  putNumber,
  putText,
  putTexts,
} from "./otlp-attributes.ts";

/** `event_name` of a flow's log record. */
export const FLOW_EVENT = "cardea.flow";

/** OpenTelemetry's numbers and words for what a reader filters by. */
export const FLOW_SEVERITY: Readonly<Record<Verdict, { readonly number: number; readonly text: string }>> = {
  allowed: { number: 9, text: "INFO" },
  denied: { number: 13, text: "WARN" },
  "would-deny": { number: 13, text: "WARN" },
  error: { number: 17, text: "ERROR" },
};

/**
 * A record as opentelemetry.proto.logs.v1.LogRecord: attributes by the table's OpenTelemetry names, nulls left out. The
 * bytes are good until the next call. Put together by hand, as the line of the flow file is and with the same pieces
 * kept, because it runs for every request; a test holds it against the table.
 */
export function encodeFlowLog(flow: FlowRecord): ProtobufBytes {
  LOG.clear();
  LOG.octet(TIME_TAG);
  LOG.nanoseconds(Math.max(0, Math.floor(flow.timeMs)));
  LOG.copy(decisionBytes(flow));
  putText(LOG, KEYS.id, flow.id);
  LOG.copy(peerBytes(flow.source, SOURCE_KEYS));
  LOG.copy(peerBytes(flow.destination, DESTINATION_KEYS));
  LOG.copy(askedBytes(flow));
  putText(LOG, KEYS.path, flow.path);
  putNumber(LOG, KEYS.status, flow.status);
  LOG.copy(tlsBytes(flow.tls));
  putNumber(LOG, KEYS.bytesReceived, flow.bytesReceived);
  putNumber(LOG, KEYS.bytesSent, flow.bytesSent);
  putDouble(LOG, KEYS.durationMs, flow.durationMs);
  putRare(flow);
  putHex(TRACE_TAG, flow.traceId, 32);
  putHex(SPAN_TAG, flow.spanId, 16);
  return LOG;
}

/** What most requests have none of. */
function putRare(flow: FlowRecord): void {
  putText(LOG, KEYS.parentSpanId, flow.parentSpanId);
  putNumber(LOG, KEYS.upstreamPort, flow.upstreamPort);
  putText(LOG, KEYS.receivedPath, flow.receivedPath);
  putText(LOG, KEYS.remoteIp, flow.remoteIp);
  putNumber(LOG, KEYS.grpcStatus, flow.grpcStatus);
  putText(LOG, KEYS.ticket, flow.ticket);
  putText(LOG, KEYS.auditedBy, flow.auditedBy);
  putText(LOG, KEYS.dryRun, flow.dryRun);
  putText(LOG, KEYS.dryRunBy, flow.dryRunBy);
  putText(LOG, KEYS.appSni, flow.appSni);
  putText(LOG, KEYS.route, flow.route);
  putNumber(LOG, KEYS.attempts, flow.attempts);
  putText(LOG, KEYS.retriedFor, flow.retriedFor);
  putText(LOG, KEYS.requestPrincipal, flow.requestPrincipal);
}

const LOG = new ProtobufBytes();

const TIME_TAG = 0x09;
const SEVERITY_NUMBER_TAG = 0x10;
const SEVERITY_TEXT_TAG = 0x1a;
const TRACE_TAG = 0x4a;
const SPAN_TAG = 0x52;
const EVENT_TAG = 0x62;

type FieldName = keyof typeof FLOW_FIELDS;

const KEYS = Object.fromEntries(
  Object.entries(FLOW_FIELDS).map(([name, { otel }]) => [name, attributeKey(ATTRIBUTES_TAG.logRecord, otel)]),
) as Readonly<Record<FieldName, AttributeKey>>;

function putHex(tag: number, digits: string | null, length: number): void {
  if (digits === null || digits.length !== length) return;
  LOG.octet(tag);
  LOG.octet(length / 2);
  LOG.hexadecimal(digits);
}

type Decided = Pick<
  FlowRecord,
  "reporter" | "verdict" | "reason" | "detail" | "policy" | "rule" | "revision" | "endedBy"
>;

let lastDecided: Decided | null = null;
let lastDecidedBytes: Buffer = Buffer.alloc(0);

/** Many requests one after the other come out the same way. */
function decisionBytes(flow: Decided): Buffer {
  const { reporter, verdict, reason, detail, policy, rule, revision, endedBy } = flow;
  const isAsBefore =
    lastDecided !== null &&
    lastDecided.reason === reason &&
    lastDecided.policy === policy &&
    lastDecided.rule === rule &&
    lastDecided.revision === revision &&
    lastDecided.verdict === verdict &&
    lastDecided.detail === detail &&
    lastDecided.endedBy === endedBy &&
    lastDecided.reporter === reporter;
  if (isAsBefore) return lastDecidedBytes;
  const made = new ProtobufBytes();
  const { number, text } = FLOW_SEVERITY[verdict];
  made.octet(SEVERITY_NUMBER_TAG);
  made.octet(number);
  putWord(made, SEVERITY_TEXT_TAG, text);
  putWord(made, EVENT_TAG, FLOW_EVENT);
  putText(made, KEYS.reporter, reporter);
  putText(made, KEYS.verdict, verdict);
  putText(made, KEYS.reason, reason);
  putText(made, KEYS.detail, detail);
  putText(made, KEYS.policy, policy);
  putNumber(made, KEYS.rule, rule);
  putText(made, KEYS.revision, revision);
  putText(made, KEYS.endedBy, endedBy);
  lastDecided = { reporter, verdict, reason, detail, policy, rule, revision, endedBy };
  lastDecidedBytes = made.take();
  return lastDecidedBytes;
}

/** A word of ours as a field of the record itself. */
function putWord(into: ProtobufBytes, tag: number, word: string): void {
  into.octet(tag);
  into.octet(word.length);
  into.ascii(word);
}

type Asked = Pick<FlowRecord, "servicePort" | "protocol" | "method" | "host">;

let lastAsked: Asked | null = null;
let lastAskedBytes: Buffer = Buffer.alloc(0);

/** And ask the same host in the same way. */
function askedBytes({ servicePort, protocol, method, host }: Asked): Buffer {
  const isAsBefore =
    lastAsked !== null &&
    lastAsked.method === method &&
    lastAsked.host === host &&
    lastAsked.servicePort === servicePort &&
    lastAsked.protocol === protocol;
  if (isAsBefore) return lastAskedBytes;
  const made = new ProtobufBytes();
  putNumber(made, KEYS.servicePort, servicePort);
  putText(made, KEYS.protocol, protocol);
  putText(made, KEYS.method, method);
  putText(made, KEYS.host, host);
  lastAsked = { servicePort, protocol, method, host };
  lastAskedBytes = made.take();
  return lastAskedBytes;
}

type PeerKeys = Readonly<Record<keyof FlowPeer, AttributeKey>> & { readonly made: WeakMap<FlowPeer, Buffer> };

const SOURCE_KEYS = peerKeys("source");
const DESTINATION_KEYS = peerKeys("destination");

function peerKeys(side: "source" | "destination"): PeerKeys {
  return {
    ip: KEYS[`${side}.ip`],
    port: KEYS[`${side}.port`],
    principal: KEYS[`${side}.principal`],
    namespace: KEYS[`${side}.namespace`],
    workload: KEYS[`${side}.workload`],
    service: KEYS[`${side}.service`],
    labels: KEYS[`${side}.labels`],
    made: new WeakMap(),
  };
}

function peerBytes(peer: FlowPeer, keys: PeerKeys): Buffer {
  let made = keys.made.get(peer);
  if (made === undefined) {
    const bytes = new ProtobufBytes();
    putText(bytes, keys.ip, peer.ip);
    putNumber(bytes, keys.port, peer.port);
    putText(bytes, keys.principal, peer.principal);
    putText(bytes, keys.namespace, peer.namespace);
    putText(bytes, keys.workload, peer.workload);
    putText(bytes, keys.service, peer.service);
    putTexts(bytes, keys.labels, peer.labels);
    made = bytes.take();
    keys.made.set(peer, made);
  }
  return made;
}

const tlsMade = new WeakMap<FlowTls, Buffer>();

function tlsBytes(tls: FlowTls): Buffer {
  let made = tlsMade.get(tls);
  if (made === undefined) {
    const bytes = new ProtobufBytes();
    putText(bytes, KEYS["tls.version"], tls.version);
    putText(bytes, KEYS["tls.group"], tls.group);
    putText(bytes, KEYS["tls.sni"], tls.sni);
    made = bytes.take();
    tlsMade.set(tls, made);
  }
  return made;
}
