import { ProtobufBytes, varintLength } from "../wire/protobuf-bytes.ts";
import { cutText } from "./json-text.ts";

// Attributes of OTLP: opentelemetry.proto.common.v1.KeyValue, each an occurrence of a repeated field.

/** Of which field an attribute is an occurrence, and its constant beginning: the name, and the tag of the value. */
export interface AttributeKey {
  readonly tag: number;
  readonly bytes: Buffer;
}

/** The tag of `attributes`: in a LogRecord, in an InstrumentationScope, in a Resource, and of a KeyValueList's values. */
export const ATTRIBUTES_TAG = { logRecord: 0x32, scope: 0x1a, resource: 0x0a, list: 0x0a } as const;

/** The name has 127 octets at the most. */
export function attributeKey(tag: number, name: string): AttributeKey {
  const octets = Buffer.from(name, "utf8");
  return { tag, bytes: Buffer.from([KEY_TAG, octets.length, ...octets, VALUE_TAG]) };
}

/** Texts that are longer than a log field may be are cut, with a mark. Null: nothing is written. */
export function putText(into: ProtobufBytes, key: AttributeKey, value: string | null): void {
  if (value === null) return;
  if (value.length <= PLAIN_MAX && putAscii(into, key, value)) return;
  const octets = Buffer.from(cutText(value), "utf8");
  const length = octets.length;
  begin(into, key, 1 + varintLength(length) + length);
  into.octet(STRING_TAG);
  into.varint(length);
  into.copy(octets);
}

/** A whole number from 0 up is an integer, any other a double. */
export function putNumber(into: ProtobufBytes, key: AttributeKey, value: number | null): void {
  if (value === null) return;
  if (!Number.isSafeInteger(value) || value < 0) {
    putDouble(into, key, value);
    return;
  }
  begin(into, key, 1 + varintLength(value));
  into.octet(INT_TAG);
  into.varint(value);
}

/** An integer in so many octets, as `ProtobufBytes.varintAt` writes it; they stand last, and are anything yet. */
export function putWideNumber(into: ProtobufBytes, key: AttributeKey, octets: number): void {
  begin(into, key, 1 + octets);
  into.octet(INT_TAG);
  into.skip(octets);
}

/** Everything of a text but its octets, which must follow. */
export function beginText(into: ProtobufBytes, key: AttributeKey, octets: number): void {
  begin(into, key, 1 + varintLength(octets) + octets);
  into.octet(STRING_TAG);
  into.varint(octets);
}

export function putDouble(into: ProtobufBytes, key: AttributeKey, value: number): void {
  begin(into, key, 1 + DOUBLE_BYTES);
  into.octet(DOUBLE_TAG);
  into.double(value);
}

/** A list of texts by name, as one attribute. Null: nothing is written. */
export function putTexts(
  into: ProtobufBytes,
  key: AttributeKey,
  values: Readonly<Record<string, string>> | null,
): void {
  if (values === null) return;
  const list = new ProtobufBytes(LIST_FIRST_BYTES);
  for (const [name, value] of Object.entries(values)) putEntry(list, cutText(name), value);
  begin(into, key, 1 + varintLength(list.length) + list.length);
  into.octet(LIST_TAG);
  into.varint(list.length);
  into.copy(list.bytes, list.length);
}

/** A name may be of any length here: it is one that users gave. */
function putEntry(list: ProtobufBytes, name: string, text: string): void {
  const key = Buffer.from(name, "utf8");
  const value = Buffer.from(cutText(text), "utf8");
  const valueLength = 1 + varintLength(value.length) + value.length;
  list.octet(ATTRIBUTES_TAG.list);
  list.varint(1 + varintLength(key.length) + key.length + 1 + varintLength(valueLength) + valueLength);
  list.octet(KEY_TAG);
  list.varint(key.length);
  list.copy(key);
  list.octet(VALUE_TAG);
  list.varint(valueLength);
  list.octet(STRING_TAG);
  list.varint(value.length);
  list.copy(value);
}

/** The way of nearly every text; false, and nothing written, where it is not that simple. */
function putAscii(into: ProtobufBytes, key: AttributeKey, value: string): boolean {
  const { length } = into;
  begin(into, key, 1 + varintLength(value.length) + value.length);
  into.octet(STRING_TAG);
  into.varint(value.length);
  if (into.ascii(value)) return true;
  into.length = length;
  return false;
}

function begin(into: ProtobufBytes, { tag, bytes }: AttributeKey, valueLength: number): void {
  into.octet(tag);
  into.varint(bytes.length + varintLength(valueLength) + valueLength);
  into.copy(bytes);
  into.varint(valueLength);
}

/** Octets of a double, and as many as any number of bytes needs as an integer. */
export const DOUBLE_BYTES = 8;
export const WIDE_NUMBER_BYTES = 8;

const PLAIN_MAX = 512;
const LIST_FIRST_BYTES = 256;
/** KeyValue. */
const KEY_TAG = 0x0a;
const VALUE_TAG = 0x12;
/** AnyValue. */
const STRING_TAG = 0x0a;
const INT_TAG = 0x18;
const DOUBLE_TAG = 0x21;
const LIST_TAG = 0x32;
