import { CardeaError } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import type { MessageType } from "./protobuf-message.ts";
import { type ProtobufReader, WIRE_TYPES, type WireType } from "./protobuf-reader.ts";
import type { ValueType } from "./protobuf-values.ts";
import { ProtobufWriter } from "./protobuf-writer.ts";

/** A field of a message: its number, and how it is read and written. */
export interface Field<Output, Input = Output> {
  readonly number: number;
  /** The value of a field that has not come. */
  empty(): Output;
  /** Takes one occurrence. `before` is what the field holds so far; the result takes its place. */
  read(reader: ProtobufReader, wireType: WireType, before: Output): Output;
  write(writer: ProtobufWriter, value: Input): void;
}

/** A single value; the last one counts. Absent: its zero. */
export function field<Output, Input>(number: number, type: ValueType<Output, Input>): Field<Output, Input> {
  return {
    number,
    empty: () => type.zero(),
    read(reader, wireType) {
      assertWireType(number, wireType, type.wireType);
      return type.read(reader);
    },
    write(writer, value) {
      if (type.isZero(value)) return;
      writer.tag(number, type.wireType);
      type.write(writer, value);
    },
  };
}

/** A message within the message, or null. One that comes in parts is put together. */
export function message<Output extends object, Input>(
  number: number,
  type: MessageType<Output, Input>,
): Field<Output | null, Input | null> {
  return {
    number,
    empty: () => null,
    read(reader, wireType, before) {
      assertWireType(number, wireType, WIRE_TYPES.bytes);
      return type.merge(reader.nested(), before);
    },
    write(writer, value) {
      if (value === null) return;
      writer.tag(number, WIRE_TYPES.bytes);
      writer.bytes(type.serialize(value));
    },
  };
}

/** A list of values. Numbers are written packed, and read either way. */
export function repeated<Output, Input>(
  number: number,
  type: ValueType<Output, Input>,
): Field<readonly Output[], readonly Input[]> {
  const isPackable = type.wireType !== WIRE_TYPES.bytes;
  return {
    number,
    empty: () => [],
    read(reader, wireType, before) {
      const list = before as Output[];
      if (isPackable && wireType === WIRE_TYPES.bytes) {
        for (const packed = reader.nested(); !packed.isAtEnd; ) append(number, list, type.read(packed));
      } else {
        assertWireType(number, wireType, type.wireType);
        append(number, list, type.read(reader));
      }
      return list;
    },
    write(writer, values) {
      if (values.length === 0) return;
      if (isPackable) {
        const packed = new ProtobufWriter();
        for (const value of values) type.write(packed, value);
        writer.tag(number, WIRE_TYPES.bytes);
        writer.bytes(packed.finish());
        return;
      }
      for (const value of values) {
        writer.tag(number, type.wireType);
        type.write(writer, value);
      }
    },
  };
}

/** A map from texts; of two entries with one key the last counts. */
export function mapOf<Output, Input>(
  number: number,
  type: ValueType<Output, Input>,
): Field<ReadonlyMap<string, Output>, ReadonlyMap<string, Input>> {
  return {
    number,
    empty: () => new Map(),
    read(reader, wireType, before) {
      assertWireType(number, wireType, WIRE_TYPES.bytes);
      const [key, value] = readEntry(number, reader.nested(), type);
      const map = before as Map<string, Output>;
      map.set(key, value);
      assertCount(number, map.size);
      return map;
    },
    write(writer, values) {
      for (const [key, value] of values) {
        const entry = new ProtobufWriter();
        entry.tag(1, WIRE_TYPES.bytes);
        entry.string(key);
        entry.tag(2, type.wireType);
        type.write(entry, value);
        writer.tag(number, WIRE_TYPES.bytes);
        writer.bytes(entry.finish());
      }
    },
  };
}

function readEntry<Output>(
  number: number,
  reader: ProtobufReader,
  type: ValueType<Output, never>,
): readonly [string, Output] {
  let key = "";
  let value = type.zero();
  while (!reader.isAtEnd) {
    const tag = reader.tag();
    if (tag.number === 1) {
      assertWireType(number, tag.wireType, WIRE_TYPES.bytes);
      key = reader.string();
    } else if (tag.number === 2) {
      assertWireType(number, tag.wireType, type.wireType);
      value = type.read(reader);
    } else reader.skip(tag.wireType);
  }
  return [key, value];
}

function append<Output>(number: number, list: Output[], value: Output): void {
  assertCount(number, list.push(value));
}

/** Two octets on the wire can be an object of a hundred here. */
function assertCount(number: number, count: number): void {
  if (count > LIMITS.messageElementsMax)
    throw new CardeaError("bad-input", `no valid protobuf message: field ${number} has too many elements`);
}

/** A field that is not of its type was written from another definition: nothing it says can be relied on. */
function assertWireType(number: number, actual: WireType, expected: WireType): void {
  if (actual !== expected)
    throw new CardeaError("bad-input", `no valid protobuf message: field ${number} has wire type ${actual}`);
}
