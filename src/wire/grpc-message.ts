import { Buffer } from "node:buffer";
import { GRPC, type GrpcStatus } from "./grpc-status.ts";

/** The flag and the length before each message. grpc/grpc doc/PROTOCOL-HTTP2.md, Length-Prefixed-Message. */
const PREFIX_BYTES = 5;

/** A message as it goes into DATA frames, uncompressed; or the beginning of one of which so many octets follow. */
export function encodeGrpcMessage(message: Buffer, restBytes = 0): Buffer {
  const framed = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
  framed.writeUInt8(0, 0);
  framed.writeUInt32BE(message.length + restBytes, 1);
  message.copy(framed, PREFIX_BYTES);
  return framed;
}

/** `part`: more must come first. `refused`: the call ends with the status. */
export type GrpcMessageReading =
  | { readonly at: "message"; readonly message: Buffer }
  | { readonly at: "part" }
  | { readonly at: "refused"; readonly status: GrpcStatus };

/**
 * Puts messages together from the pieces in which they come. What it holds grows with what has come, not with what a
 * prefix promises.
 */
export class GrpcMessageReader {
  readonly #messageBytesMax: number;
  #pieces: Buffer[] = [];
  #heldBytes = 0;

  constructor(messageBytesMax: number) {
    this.#messageBytesMax = messageBytesMax;
  }

  /** Whether a message has come in part. */
  get isWithinMessage(): boolean {
    return this.#heldBytes > 0;
  }

  /** The callee owns the piece. */
  feed(piece: Buffer): void {
    if (piece.length === 0) return;
    this.#pieces.push(piece);
    this.#heldBytes += piece.length;
  }

  /** The caller owns the message. Nothing can be read any more after a refusal. */
  next(): GrpcMessageReading {
    if (this.#heldBytes < PREFIX_BYTES) return PART;
    const prefix = this.#pieces[0]!.length >= PREFIX_BYTES ? this.#pieces[0]! : this.#joined();
    // Nobody was told that we could decompress anything.
    if (prefix[0] !== 0) return refused(GRPC.INTERNAL, "a message is compressed, or is none");
    const length = prefix.readUInt32BE(1);
    if (length > this.#messageBytesMax)
      return refused(GRPC.RESOURCE_EXHAUSTED, `a message has ${length} bytes, ${this.#messageBytesMax} are taken`);
    const end = PREFIX_BYTES + length;
    if (this.#heldBytes < end) return PART;
    const held = this.#joined();
    this.#heldBytes -= end;
    this.#pieces = this.#heldBytes === 0 ? [] : [held.subarray(end)];
    return { at: "message", message: held.subarray(PREFIX_BYTES, end) };
  }

  #joined(): Buffer {
    if (this.#pieces.length > 1) this.#pieces = [Buffer.concat(this.#pieces, this.#heldBytes)];
    return this.#pieces[0]!;
  }
}

const PART: GrpcMessageReading = Object.freeze({ at: "part" });

function refused(code: number, message: string): GrpcMessageReading {
  return { at: "refused", status: { code, message } };
}
