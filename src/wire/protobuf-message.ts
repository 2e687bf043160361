import type { Field } from "./protobuf-fields.ts";
import { ProtobufReader, WIRE_TYPES } from "./protobuf-reader.ts";
import type { ValueType } from "./protobuf-values.ts";
import { ProtobufWriter } from "./protobuf-writer.ts";

type Table = Readonly<Record<string, Field<unknown, never>>>;

type OutputOf<Fields> = { readonly [Name in keyof Fields]: Fields[Name] extends Field<infer Out, never> ? Out : never };

type InputOf<Fields> = {
  readonly [Name in keyof Fields]?: Fields[Name] extends Field<unknown, infer In> ? In : never;
};

/** A message: how it is written and read. It can also be the value of a list or of a map. */
export interface MessageType<Output, Input> extends ValueType<Output, Input> {
  /** Fields that are left out, or hold what their absence says, are not written. */
  serialize(message: Input): Buffer;
  /** Errors: `bad-input`. `Buffer`s in the result are views of `bytes`. */
  deserialize(bytes: Buffer): Output;
  /** Reads to the reader's end, on top of `before`. Errors: `bad-input`. */
  merge(reader: ProtobufReader, before: Output | null): Output;
}

/** What a message of a type is once it has been read. */
export type MessageOf<Type> = Type extends MessageType<infer Output, never> ? Output : never;

/**
 * A message by the table of its fields, which stands for both directions. Fields that the table lacks are skipped on
 * reading. Of the fields in `oneof` only the last one that came counts.
 */
export function messageOf<const Fields extends Table>(
  fields: Fields,
  oneof: readonly (keyof Fields & string)[] = [],
): MessageType<OutputOf<Fields>, InputOf<Fields>> {
  const table = new MessageTable(fields, oneof);
  return {
    wireType: WIRE_TYPES.bytes,
    zero: () => table.empty() as OutputOf<Fields>,
    serialize: (message) => table.write(message),
    deserialize: (bytes) => table.read(new ProtobufReader(bytes), null) as OutputOf<Fields>,
    merge: (reader, before) => table.read(reader, before) as OutputOf<Fields>,
    read: (reader) => table.read(reader.nested(), null) as OutputOf<Fields>,
    write: (writer, message) => writer.bytes(table.write(message)),
    // An empty message in a list or a map is not the same as none.
    isZero: () => false,
  };
}

type Values = Record<string, unknown>;

class MessageTable {
  readonly #fields: readonly (readonly [string, Field<unknown, never>])[];
  readonly #byNumber: ReadonlyMap<number, readonly [string, Field<unknown, never>]>;
  readonly #oneof: readonly string[];

  constructor(fields: Table, oneof: readonly string[]) {
    // By number, so that the same message is always the same bytes.
    this.#fields = Object.entries(fields).toSorted(([, one], [, other]) => one.number - other.number);
    this.#byNumber = new Map(this.#fields.map((entry) => [entry[1].number, entry]));
    this.#oneof = oneof;
  }

  empty(): Values {
    return Object.fromEntries(this.#fields.map(([name, field]) => [name, field.empty()]));
  }

  read(reader: ProtobufReader, before: Values | null): Values {
    const values = before ?? this.empty();
    while (!reader.isAtEnd) {
      const { number, wireType } = reader.tag();
      const entry = this.#byNumber.get(number);
      if (entry === undefined) reader.skip(wireType);
      else {
        const [name, field] = entry;
        if (this.#oneof.includes(name)) this.#clearOthers(values, name);
        values[name] = field.read(reader, wireType, values[name]);
      }
    }
    return values;
  }

  write(message: object): Buffer {
    const writer = new ProtobufWriter();
    for (const [name, field] of this.#fields) {
      const value = (message as Values)[name];
      if (value !== undefined) field.write(writer, value as never);
    }
    return writer.finish();
  }

  #clearOthers(values: Values, name: string): void {
    for (const other of this.#oneof) if (other !== name) values[other] = null;
  }
}
