import { CardeaError } from "../core/errors.ts";

/** google.protobuf.Any as it goes over the wire. */
export interface AnyMessage {
  readonly type_url: string;
  readonly value: Buffer;
}

/** A message as google.protobuf.Any. */
export function packAny<Input>(
  type: { serialize(message: Input): Buffer },
  typeUrl: string,
  message: Input,
): AnyMessage {
  return { type_url: typeUrl, value: type.serialize(message) };
}

/** The message in an Any. Errors: `bad-input` when it is absent, of another type or not decodable. */
export function unpackAny<Output>(
  type: { deserialize(bytes: Buffer): Output },
  typeUrl: string,
  any: AnyMessage | null,
): Output {
  if (any === null) throw new CardeaError("bad-input", `the resource is empty, expected ${typeUrl}`);
  if (any.type_url !== typeUrl) {
    throw new CardeaError("bad-input", `the resource is of type ${JSON.stringify(any.type_url)}, expected ${typeUrl}`);
  }
  try {
    return type.deserialize(any.value);
  } catch (error) {
    throw new CardeaError("bad-input", `the resource cannot be decoded as ${typeUrl}`, error);
  }
}
