import { CardeaError } from "../core/errors.ts";
import type { JsonObject, JsonValue } from "../core/json-value.ts";
import { type ProtobufReader, WIRE_TYPES, type WireType } from "./protobuf-reader.ts";
import type { ValueType } from "./protobuf-values.ts";
import { ProtobufWriter } from "./protobuf-writer.ts";

/**
 * google.protobuf.Struct: a JSON object as a message. Of two members of one name the last counts. Reading refuses what is
 * nested more than DEPTH_MAX deep; writing is for values that JSON.parse has made.
 */
export const STRUCT: ValueType<JsonObject> = {
  wireType: WIRE_TYPES.bytes,
  zero: () => ({}),
  read: (reader) => readStruct(reader.nested(), 0),
  write: (writer, value) => writer.bytes(writeStruct(value)),
  isZero: () => false,
};

const DEPTH_MAX = 64;

/** The members of Value's `kind`. google/protobuf/struct.proto. */
const KIND = { null: 1, number: 2, string: 3, bool: 4, struct: 5, list: 6 } as const;

const { varint, fixed64, bytes } = WIRE_TYPES;

function writeStruct(object: JsonObject): Buffer {
  const writer = new ProtobufWriter();
  for (const [key, value] of Object.entries(object)) {
    const entry = new ProtobufWriter();
    entry.tag(1, bytes);
    entry.string(key);
    entry.tag(2, bytes);
    entry.bytes(writeValue(value));
    writer.tag(1, bytes);
    writer.bytes(entry.finish());
  }
  return writer.finish();
}

function writeValue(value: JsonValue): Buffer {
  const writer = new ProtobufWriter();
  if (value === null) {
    writer.tag(KIND.null, varint);
    writer.integer(0);
  } else if (typeof value === "number") {
    writer.tag(KIND.number, fixed64);
    writer.double(value);
  } else if (typeof value === "string") {
    writer.tag(KIND.string, bytes);
    writer.string(value);
  } else if (typeof value === "boolean") {
    writer.tag(KIND.bool, varint);
    writer.integer(value ? 1 : 0);
  } else if (Array.isArray(value)) {
    writer.tag(KIND.list, bytes);
    writer.bytes(writeList(value as readonly JsonValue[]));
  } else {
    writer.tag(KIND.struct, bytes);
    writer.bytes(writeStruct(value as JsonObject));
  }
  return writer.finish();
}

function writeList(list: readonly JsonValue[]): Buffer {
  const writer = new ProtobufWriter();
  for (const value of list) {
    writer.tag(1, bytes);
    writer.bytes(writeValue(value));
  }
  return writer.finish();
}

function readStruct(reader: ProtobufReader, depth: number): JsonObject {
  if (depth > DEPTH_MAX) throw refused("it is nested too deeply");
  const members = new Map<string, JsonValue>();
  while (!reader.isAtEnd) {
    const { number, wireType } = reader.tag();
    if (number !== 1) reader.skip(wireType);
    else {
      assertIs(wireType, bytes);
      const [key, value] = readEntry(reader.nested(), depth);
      members.set(key, value);
    }
  }
  return Object.fromEntries(members);
}

function readEntry(reader: ProtobufReader, depth: number): readonly [string, JsonValue] {
  let key = "";
  let value: JsonValue = null;
  while (!reader.isAtEnd) {
    const { number, wireType } = reader.tag();
    if (number === 1 || number === 2) assertIs(wireType, bytes);
    if (number === 1) key = reader.string();
    else if (number === 2) value = readValue(reader.nested(), depth);
    else reader.skip(wireType);
  }
  return [key, value];
}

function readValue(reader: ProtobufReader, depth: number): JsonValue {
  let value: JsonValue = null;
  while (!reader.isAtEnd) {
    const { number, wireType } = reader.tag();
    const expected = WIRE_TYPE_OF[number];
    if (expected === undefined) reader.skip(wireType);
    else {
      assertIs(wireType, expected);
      value = readKind(reader, number, depth);
    }
  }
  return value;
}

const WIRE_TYPE_OF: Readonly<Record<number, WireType>> = {
  [KIND.null]: varint,
  [KIND.number]: fixed64,
  [KIND.string]: bytes,
  [KIND.bool]: varint,
  [KIND.struct]: bytes,
  [KIND.list]: bytes,
};

function readKind(reader: ProtobufReader, kind: number, depth: number): JsonValue {
  switch (kind) {
    case KIND.number:
      return reader.double();
    case KIND.string:
      return reader.string();
    case KIND.bool:
      return reader.bool();
    case KIND.struct:
      return readStruct(reader.nested(), depth + 1);
    case KIND.list:
      return readList(reader.nested(), depth + 1);
    default:
      reader.skip(varint);
      return null;
  }
}

function readList(reader: ProtobufReader, depth: number): readonly JsonValue[] {
  if (depth > DEPTH_MAX) throw refused("it is nested too deeply");
  const list: JsonValue[] = [];
  while (!reader.isAtEnd) {
    const { number, wireType } = reader.tag();
    if (number !== 1) reader.skip(wireType);
    else {
      assertIs(wireType, bytes);
      list.push(readValue(reader.nested(), depth));
    }
  }
  return list;
}

function assertIs(actual: WireType, expected: WireType): void {
  if (actual !== expected) throw refused(`a part has wire type ${actual}`);
}

function refused(why: string): CardeaError {
  return new CardeaError("bad-input", `no valid google.protobuf.Struct: ${why}`);
}
