import {
  ENDERS,
  FLOW_FIELDS,
  FLOW_PROTOCOLS,
  type FlowField,
  type FlowLabels,
  type FlowPeer,
  type FlowRecord,
  type FlowTls,
  NO_TLS,
  REPORTERS,
  VERDICTS,
} from "./flow.ts";

/** What a field of a record may hold as it comes from elsewhere. */
export type FieldValue = string | number | FlowLabels | null;

type FieldName = keyof typeof FLOW_FIELDS;

const FIELDS: readonly FlowField[] = Object.values(FLOW_FIELDS);

export const FIELD_COUNT = FIELDS.length;

/** Where each field stands in the table, and in a list of values. */
export const FIELD_INDEX = Object.fromEntries(Object.keys(FLOW_FIELDS).map((name, i) => [name, i])) as Readonly<
  Record<FieldName, number>
>;

/** The fields' OpenTelemetry names. */
export const FIELD_KEYS: readonly Buffer[] = FIELDS.map(({ otel }) => Buffer.from(otel));

/** Makes records of values that others sent, and gives what has the same peers or TLS facts the same objects. */
export class FlowRecords {
  #source: FlowPeer = NOBODY;
  #destination: FlowPeer = NOBODY;
  #tls: FlowTls = NO_TLS;

  /** The record, or why it is none. One value for each field; undefined is one of a type that no field has. */
  make(values: readonly (FieldValue | undefined)[]): FlowRecord | string {
    for (let i = 0; i < FIELD_COUNT; i++) {
      const value = values[i];
      const isGood = value === null ? FIELDS[i]!.isNullable : value !== undefined && isOfType(i, value);
      if (!isGood) return `${FIELDS[i]!.otel} is ${value === null ? "missing" : `no ${FIELDS[i]!.type}`}`;
    }
    this.#source = samePeer(this.#source, values, SOURCE_AT);
    this.#destination = samePeer(this.#destination, values, DESTINATION_AT);
    this.#tls = sameTls(this.#tls, values);
    return recordOf(values, this.#source, this.#destination, this.#tls);
  }
}

const NOBODY: FlowPeer = Object.freeze({
  ip: "",
  port: 0,
  principal: null,
  namespace: null,
  workload: null,
  service: null,
  labels: null,
});

type Values = readonly (FieldValue | undefined)[];

// The fields of a peer, and of TLS, stand together in the table, in this order.
const SOURCE_AT = FIELD_INDEX["source.ip"];
const DESTINATION_AT = FIELD_INDEX["destination.ip"];
const TLS_AT = FIELD_INDEX["tls.version"];

function samePeer(before: FlowPeer, values: Values, at: number): FlowPeer {
  const isAsBefore =
    before.port === values[at + 1] &&
    before.ip === values[at] &&
    before.principal === values[at + 2] &&
    before.namespace === values[at + 3] &&
    before.workload === values[at + 4] &&
    before.service === values[at + 5] &&
    isSameLabels(before.labels, values[at + 6] as FlowLabels | null);
  if (isAsBefore) return before;
  return {
    ip: values[at] as string,
    port: values[at + 1] as number,
    principal: values[at + 2] as string | null,
    namespace: values[at + 3] as string | null,
    workload: values[at + 4] as string | null,
    service: values[at + 5] as string | null,
    labels: values[at + 6] as FlowLabels | null,
  };
}

function sameTls(before: FlowTls, values: Values): FlowTls {
  const version = values[TLS_AT] as string | null;
  const group = values[TLS_AT + 1] as string | null;
  const sni = values[TLS_AT + 2] as string | null;
  return before.version === version && before.group === group && before.sni === sni ? before : { version, group, sni };
}

function isSameLabels(some: FlowLabels | null, others: FlowLabels | null): boolean {
  if (some === others) return true;
  if (some === null || others === null) return false;
  const names = Object.keys(some);
  return names.length === Object.keys(others).length && names.every((name) => some[name] === others[name]);
}

/** Each value is of its field's type. Written out, for a record is made of every one that comes; a test holds it complete. */
function recordOf(values: Values, source: FlowPeer, destination: FlowPeer, tls: FlowTls): FlowRecord {
  const at = FIELD_INDEX;
  return {
    timeMs: values[at.timeMs] as number,
    id: values[at.id] as string,
    reporter: values[at.reporter] as FlowRecord["reporter"],
    verdict: values[at.verdict] as FlowRecord["verdict"],
    reason: values[at.reason] as FlowRecord["reason"],
    detail: values[at.detail] as string | null,
    policy: values[at.policy] as string | null,
    rule: values[at.rule] as number | null,
    revision: values[at.revision] as string | null,
    ticket: values[at.ticket] as string | null,
    auditedBy: values[at.auditedBy] as string | null,
    dryRun: values[at.dryRun] as string | null,
    dryRunBy: values[at.dryRunBy] as string | null,
    source,
    remoteIp: values[at.remoteIp] as string | null,
    destination,
    servicePort: values[at.servicePort] as number | null,
    protocol: values[at.protocol] as FlowRecord["protocol"],
    method: values[at.method] as string | null,
    host: values[at.host] as string | null,
    path: values[at.path] as string | null,
    receivedPath: values[at.receivedPath] as string | null,
    status: values[at.status] as number | null,
    grpcStatus: values[at.grpcStatus] as number | null,
    tls,
    bytesReceived: values[at.bytesReceived] as number,
    bytesSent: values[at.bytesSent] as number,
    durationMs: values[at.durationMs] as number,
    endedBy: values[at.endedBy] as FlowRecord["endedBy"],
    traceId: values[at.traceId] as string | null,
    spanId: values[at.spanId] as string | null,
    parentSpanId: values[at.parentSpanId] as string | null,
    upstreamPort: values[at.upstreamPort] as number | null,
    appSni: values[at.appSni] as string | null,
    route: values[at.route] as string | null,
    attempts: values[at.attempts] as number | null,
    retriedFor: values[at.retriedFor] as string | null,
    requestPrincipal: values[at.requestPrincipal] as string | null,
    sampledFrom: values[at.sampledFrom] as number | null,
  };
}

const WORDS: Readonly<Partial<Record<FlowField["type"], readonly string[]>>> = {
  reporter: REPORTERS,
  verdict: VERDICTS,
  protocol: FLOW_PROTOCOLS,
  endedBy: ENDERS,
};
const REASON = /^[a-z-]{1,64}$/;
const WORDS_OF = FIELDS.map(({ type }) => WORDS[type] ?? null);
const TYPE_OF = FIELDS.map(({ type }) =>
  type === "labels" ? "object" : type === "number" || type === "timeMs" ? "number" : "string",
);
const REASON_AT = FIELD_INDEX.reason;

function isOfType(index: number, value: Exclude<FieldValue, null>): boolean {
  if (typeof value !== TYPE_OF[index]) return false;
  if (typeof value === "number") return Number.isFinite(value);
  const words = WORDS_OF[index]!;
  if (words !== null) return words.includes(value as string);
  // A newer sidecar may know reasons that this program does not.
  return index !== REASON_AT || REASON.test(value as string);
}
