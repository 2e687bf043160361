import { ProtobufBytes } from "../wire/protobuf-bytes.ts";
import { type AttributeKey, attributeKey, putNumber, putText } from "./otlp-attributes.ts";
import { cutText } from "./json-text.ts";

/** Attributes by name; null: there is none of that name. */
export type SpanAttributes = readonly (readonly [name: string, value: string | number | null])[];

/** What happened at a moment of a span. */
export interface SpanEvent {
  readonly name: string;
  readonly timeMs: number;
  readonly attributes: SpanAttributes;
}

/** One span of a request, as a sidecar reports it. Times are wall time in milliseconds, with fractions. */
export interface ProxySpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | null;
  /** Whether the parent is a span of another process. */
  readonly isParentRemote: boolean;
  readonly isSampled: boolean;
  readonly name: string;
  readonly kind: "server" | "client";
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: SpanAttributes;
  /** Why it has failed; null: its status is unset. */
  readonly failure: string | null;
  readonly events: readonly SpanEvent[];
}

/** As opentelemetry.proto.trace.v1.Span. The bytes are good until the next call. */
export function encodeSpan(span: ProxySpan): ProtobufBytes {
  SPAN.clear();
  putHex(TRACE_ID_TAG, span.traceId);
  putHex(SPAN_ID_TAG, span.spanId);
  if (span.parentSpanId !== null) putHex(PARENT_TAG, span.parentSpanId);
  putWords(SPAN, NAME_TAG, span.name);
  SPAN.octet(KIND_TAG);
  SPAN.octet(KINDS[span.kind]);
  putTime(SPAN, START_TAG, span.startMs);
  putTime(SPAN, END_TAG, Math.max(span.startMs, span.endMs));
  putAttributes(SPAN, SPAN_ATTRIBUTES_TAG, span.attributes);
  for (const event of span.events) putMessage(EVENTS_TAG, encodeEvent(event));
  if (span.failure !== null) putMessage(STATUS_TAG, encodeFailure(span.failure));
  putFlags(span);
  return SPAN;
}

function encodeEvent({ name, timeMs, attributes }: SpanEvent): ProtobufBytes {
  PART.clear();
  putTime(PART, EVENT_TIME_TAG, timeMs);
  putWords(PART, EVENT_NAME_TAG, name);
  putAttributes(PART, EVENT_ATTRIBUTES_TAG, attributes);
  return PART;
}

function encodeFailure(why: string): ProtobufBytes {
  PART.clear();
  putWords(PART, STATUS_MESSAGE_TAG, why);
  PART.octet(STATUS_CODE_TAG);
  PART.octet(STATUS_ERROR);
  return PART;
}

function putHex(tag: number, digits: string): void {
  SPAN.octet(tag);
  SPAN.octet(digits.length / 2);
  SPAN.hexadecimal(digits);
}

function putWords(into: ProtobufBytes, tag: number, words: string): void {
  const octets = Buffer.from(cutText(words), "utf8");
  into.octet(tag);
  into.varint(octets.length);
  into.copy(octets);
}

function putTime(into: ProtobufBytes, tag: number, timeMs: number): void {
  into.octet(tag);
  // To the microsecond: a number holds no more of a time since 1970.
  into.fixed64(BigInt(Math.max(0, Math.round(timeMs * 1_000))) * 1_000n);
}

function putAttributes(into: ProtobufBytes, tag: number, attributes: SpanAttributes): void {
  for (const [name, value] of attributes) {
    if (typeof value === "string") putText(into, keyOf(tag, name), value);
    else putNumber(into, keyOf(tag, name), value);
  }
}

function putMessage(tag: number, { bytes, length }: ProtobufBytes): void {
  SPAN.octet(tag);
  SPAN.varint(length);
  SPAN.copy(bytes, length);
}

function putFlags({ isSampled, isParentRemote }: ProxySpan): void {
  SPAN.varint(FLAGS_TAG);
  const flags = (isSampled ? 1 : 0) | HAS_IS_REMOTE | (isParentRemote ? IS_REMOTE : 0);
  for (let shift = 0; shift < 32; shift += 8) SPAN.octet((flags >>> shift) & 0xff);
}

/** Names are ours or of settings, and few; those of settings may be as long as a field of ours can be. */
function keyOf(tag: number, name: string): AttributeKey {
  const keys = tag === SPAN_ATTRIBUTES_TAG ? SPAN_KEYS : EVENT_KEYS;
  let key = keys.get(name);
  if (key === undefined) keys.set(name, (key = attributeKey(tag, name)));
  return key;
}

const SPAN = new ProtobufBytes();
const PART = new ProtobufBytes();
const SPAN_KEYS = new Map<string, AttributeKey>();
const EVENT_KEYS = new Map<string, AttributeKey>();

const TRACE_ID_TAG = 0x0a;
const SPAN_ID_TAG = 0x12;
const PARENT_TAG = 0x22;
const NAME_TAG = 0x2a;
const KIND_TAG = 0x30;
const KINDS = { server: 2, client: 3 } as const;
const START_TAG = 0x39;
const END_TAG = 0x41;
const SPAN_ATTRIBUTES_TAG = 0x4a;
const EVENTS_TAG = 0x5a;
const STATUS_TAG = 0x7a;
/** Field 16, fixed32: a tag of two octets. */
const FLAGS_TAG = 0x85;
const HAS_IS_REMOTE = 0x100;
const IS_REMOTE = 0x200;
/** Span.Event. */
const EVENT_TIME_TAG = 0x09;
const EVENT_NAME_TAG = 0x12;
const EVENT_ATTRIBUTES_TAG = 0x1a;
/** Status. */
const STATUS_MESSAGE_TAG = 0x12;
const STATUS_CODE_TAG = 0x18;
const STATUS_ERROR = 2;
