import { ProtobufBytes } from "../wire/protobuf-bytes.ts";
import type { FlowRecord, Verdict } from "./flow.ts";
import { type CommonFacts, flowKeys, FlowGroups } from "./flow-groups.ts";
import {
  ATTRIBUTES_TAG,
  beginText,
  DOUBLE_BYTES,
  putDouble,
  putNumber,
  putText,
  putWideNumber,
  WIDE_NUMBER_BYTES,
} from "./otlp-attributes.ts";
import { LOG_RECORD_TAG, SCOPE_LOGS_TAG, SCOPE_TAG, scopeBytes } from "./otlp-request.ts";

/** `event_name` of a flow's log record. */
export const FLOW_EVENT = "cardea.flow";

/** OpenTelemetry's numbers and words for what a reader filters by. */
export const FLOW_SEVERITY: Readonly<Record<Verdict, { readonly number: number; readonly text: string }>> = {
  allowed: { number: 9, text: "INFO" },
  denied: { number: 13, text: "WARN" },
  "would-deny": { number: 13, text: "WARN" },
  error: { number: 17, text: "ERROR" },
};

/** How flows are written: what they have in common once, for a reader of ours, or in each record, for any other. */
export type FlowLogForm = "grouped" | "flat";

/** Flows that are written under one scope. */
export type FlowGroup = CommonFacts<GroupBytes> & { made: GroupBytes };

interface GroupBytes {
  /** A ScopeLogs up to its records: tag, place for the length, and the scope. */
  readonly head: Buffer;
  readonly template: Template;
  /** The records that are gathered, by whoever does so. */
  open: OpenRecords | null;
}

/** A ScopeLogs that more records are added to. */
export interface OpenRecords {
  readonly bytes: ProtobufBytes;
  records: number;
}

/** A record up to what differs in length, and where to put what differs in value. */
interface Template {
  readonly bytes: Buffer;
  readonly idLength: number;
  readonly idAt: number;
  readonly portAt: number;
  readonly receivedAt: number;
  readonly sentAt: number;
  readonly durationAt: number;
}

/**
 * Writes flows as opentelemetry.proto.logs.v1.LogRecord: attributes by the table's OpenTelemetry names, nulls left out. Put
 * together by hand from what was made before, because it runs for every request; a test holds it against the table. What
 * many flows have in common is an attribute of their scope, or in the flat form of each record.
 */
export class FlowLogWriter {
  readonly #form: FlowLogForm;
  readonly #scope: Buffer;
  readonly #groups: FlowGroups<GroupBytes>;

  constructor(form: FlowLogForm, version: string) {
    this.#form = form;
    this.#scope = scopeBytes(version);
    this.#groups = new FlowGroups(form === "flat" ? ATTRIBUTES_TAG.logRecord : ATTRIBUTES_TAG.scope);
  }

  groupOf(flow: FlowRecord): FlowGroup {
    const group = this.#groups.of(flow);
    group.made ??= this.#make(group.attributes, flow);
    return group as FlowGroup;
  }

  /** Appends a flow of this group as a record, with its tag and its length. */
  put(into: ProtobufBytes, { attributes, made }: FlowGroup, flow: FlowRecord): void {
    const { id } = flow;
    const template = made.template.idLength === id.length ? made.template : this.#template(attributes, flow);
    into.octet(LOG_RECORD_TAG);
    const lengthAt = into.skip(RECORD_LENGTH_BYTES);
    const start = into.length;
    into.copy(template.bytes);
    into.nanosecondsAt(start + TIME_AT, Math.max(0, Math.floor(flow.timeMs)));
    into.latin1At(start + template.idAt, id);
    into.varintAt(start + template.portAt, flow.source.port, PORT_BYTES);
    into.varintAt(start + template.receivedAt, flow.bytesReceived, WIDE_NUMBER_BYTES);
    into.varintAt(start + template.sentAt, flow.bytesSent, WIDE_NUMBER_BYTES);
    into.doubleAt(start + template.durationAt, flow.durationMs);
    putText(into, KEYS.path, flow.path);
    putHex(into, TRACE_TAG, flow.traceId, 32);
    putHex(into, SPAN_TAG, flow.spanId, 16);
    putText(into, KEYS.parentSpanId, flow.parentSpanId);
    putNumber(into, KEYS.upstreamPort, flow.upstreamPort);
    if (isOdd(flow)) putOdd(into, flow);
    into.varintAt(lengthAt, into.length - start, RECORD_LENGTH_BYTES);
  }

  #make(attributes: Buffer, flow: FlowRecord): GroupBytes {
    const isFlat = this.#form === "flat";
    const head = new ProtobufBytes(this.#scope.length + attributes.length + HEAD_EXTRA_BYTES);
    head.octet(SCOPE_LOGS_TAG);
    head.skip(SCOPE_LENGTH_BYTES);
    head.octet(SCOPE_TAG);
    head.varint(this.#scope.length + (isFlat ? 0 : attributes.length));
    head.copy(this.#scope);
    if (!isFlat) head.copy(attributes);
    return { head: head.take(), template: this.#template(attributes, flow), open: null };
  }

  #template(attributes: Buffer, { verdict, id }: FlowRecord): Template {
    const into = new ProtobufBytes(attributes.length + TEMPLATE_FIRST_BYTES);
    into.octet(TIME_TAG);
    into.skip(8);
    const { number, text } = FLOW_SEVERITY[verdict];
    into.octet(SEVERITY_NUMBER_TAG);
    into.octet(number);
    putWord(into, SEVERITY_TEXT_TAG, text);
    putWord(into, EVENT_TAG, FLOW_EVENT);
    if (this.#form === "flat") into.copy(attributes);
    beginText(into, KEYS.id, id.length);
    const idAt = into.skip(id.length);
    putWideNumber(into, KEYS["source.port"], PORT_BYTES);
    const portAt = into.length - PORT_BYTES;
    putWideNumber(into, KEYS.bytesReceived, WIDE_NUMBER_BYTES);
    const receivedAt = into.length - WIDE_NUMBER_BYTES;
    putWideNumber(into, KEYS.bytesSent, WIDE_NUMBER_BYTES);
    const sentAt = into.length - WIDE_NUMBER_BYTES;
    putDouble(into, KEYS.durationMs, 0);
    const durationAt = into.length - DOUBLE_BYTES;
    return { bytes: into.take(), idLength: id.length, idAt, portAt, receivedAt, sentAt, durationAt };
  }
}

/** Ends the records of a group: a ScopeLogs that begins with its head knows its length now. */
export function sealGroup(scopeLogs: ProtobufBytes): void {
  scopeLogs.varintAt(1, scopeLogs.length - 1 - SCOPE_LENGTH_BYTES, SCOPE_LENGTH_BYTES);
}

/** What most requests have none of. */
function isOdd(flow: FlowRecord): boolean {
  return (
    flow.detail !== null ||
    flow.receivedPath !== null ||
    flow.remoteIp !== null ||
    flow.grpcStatus !== null ||
    flow.ticket !== null ||
    flow.auditedBy !== null ||
    flow.dryRun !== null ||
    flow.dryRunBy !== null ||
    flow.appSni !== null ||
    flow.route !== null ||
    flow.attempts !== null ||
    flow.retriedFor !== null ||
    flow.requestPrincipal !== null ||
    flow.sampledFrom !== null
  );
}

function putOdd(into: ProtobufBytes, flow: FlowRecord): void {
  putText(into, KEYS.detail, flow.detail);
  putText(into, KEYS.receivedPath, flow.receivedPath);
  putText(into, KEYS.remoteIp, flow.remoteIp);
  putNumber(into, KEYS.grpcStatus, flow.grpcStatus);
  putText(into, KEYS.ticket, flow.ticket);
  putText(into, KEYS.auditedBy, flow.auditedBy);
  putText(into, KEYS.dryRun, flow.dryRun);
  putText(into, KEYS.dryRunBy, flow.dryRunBy);
  putText(into, KEYS.appSni, flow.appSni);
  putText(into, KEYS.route, flow.route);
  putNumber(into, KEYS.attempts, flow.attempts);
  putText(into, KEYS.retriedFor, flow.retriedFor);
  putText(into, KEYS.requestPrincipal, flow.requestPrincipal);
  putNumber(into, KEYS.sampledFrom, flow.sampledFrom);
}

/** A word of ours as a field of the record itself. */
function putWord(into: ProtobufBytes, tag: number, word: string): void {
  into.octet(tag);
  into.octet(word.length);
  into.ascii(word);
}

function putHex(into: ProtobufBytes, tag: number, digits: string | null, length: number): void {
  if (digits === null || digits.length !== length) return;
  into.octet(tag);
  into.octet(length / 2);
  into.hexadecimal(digits);
}

const KEYS = flowKeys(ATTRIBUTES_TAG.logRecord);

const TIME_TAG = 0x09;
/** It stands first in a record, behind its tag. */
const TIME_AT = 1;
const SEVERITY_NUMBER_TAG = 0x10;
const SEVERITY_TEXT_TAG = 0x1a;
const TRACE_TAG = 0x4a;
const SPAN_TAG = 0x52;
const EVENT_TAG = 0x62;
/** Lengths that are put in afterwards have as many octets as the longest could need. */
const RECORD_LENGTH_BYTES = 3;
const SCOPE_LENGTH_BYTES = 4;
const PORT_BYTES = 3;
const HEAD_EXTRA_BYTES = 16;
const TEMPLATE_FIRST_BYTES = 512;
