import { type ProtobufReader, WIRE_TYPES, type WireType } from "./protobuf-reader.ts";
import type { ProtobufWriter } from "./protobuf-writer.ts";

/** One kind of value that a field may have, in both directions. */
export interface ValueType<Output, Input = Output> {
  readonly wireType: WireType;
  /** What an absent field stands for. */
  zero(): Output;
  read(reader: ProtobufReader): Output;
  write(writer: ProtobufWriter, value: Input): void;
  /** Whether a field may be left out, since its absence says the same. */
  isZero(value: Input): boolean;
}

const { varint, bytes } = WIRE_TYPES;

export const STRING: ValueType<string> = {
  wireType: bytes,
  zero: () => "",
  read: (reader) => reader.string(),
  write: (writer, value) => writer.string(value),
  isZero: (value) => value === "",
};

const NO_BYTES = Buffer.alloc(0);

/** Read as a view of the message's own buffer. */
export const BYTES: ValueType<Buffer, Uint8Array> = {
  wireType: bytes,
  zero: () => NO_BYTES,
  read: (reader) => reader.bytes(),
  write: (writer, value) => writer.bytes(value),
  isZero: (value) => value.length === 0,
};

export const UINT32 = integerType((reader) => reader.uint32());
export const INT32 = integerType((reader) => reader.int32());
/** Within the safe integers; others are refused. */
export const INT64 = integerType((reader) => reader.int64());
/** Likewise. */
export const UINT64 = integerType((reader) => reader.uint64());

export const BOOL: ValueType<boolean> = {
  wireType: varint,
  zero: () => false,
  read: (reader) => reader.bool(),
  write: (writer, value) => writer.integer(value ? 1 : 0),
  isZero: (value) => !value,
};

/** An enumeration by its names; a number stands for a name that a newer peer has and we do not know. */
export function enumOf<const Names extends Readonly<Record<string, number>>>(
  names: Names,
): ValueType<(keyof Names & string) | number> {
  type Name = keyof Names & string;
  const byNumber = new Map(Object.entries(names).map(([name, number]) => [number, name as Name]));
  const numberOf = (value: Name | number): number => (typeof value === "number" ? value : names[value]!);
  return {
    wireType: varint,
    zero: () => byNumber.get(0) ?? 0,
    read(reader) {
      const number = reader.int32();
      return byNumber.get(number) ?? number;
    },
    write: (writer, value) => writer.integer(numberOf(value)),
    isZero: (value) => numberOf(value) === 0,
  };
}

function integerType(read: (reader: ProtobufReader) => number): ValueType<number> {
  return {
    wireType: varint,
    zero: () => 0,
    read,
    write: (writer, value) => writer.integer(value),
    isZero: (value) => value === 0,
  };
}
