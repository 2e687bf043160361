import { FRAME, PREFACE } from "../../src/wire/http2-codes.ts";

export interface RawFrame {
  readonly type: number;
  readonly flags?: number;
  readonly streamId?: number;
  readonly payload?: Buffer | string;
  /** What the header says, when it is to lie. */
  readonly length?: number;
}

/** A frame as anybody may send it: nothing is checked. Strings are hexadecimal. */
export function rawFrame({ type, flags = 0, streamId = 0, payload = "", length }: RawFrame): Buffer {
  const body = typeof payload === "string" ? Buffer.from(payload.replaceAll(/\s/g, ""), "hex") : payload;
  const frame = Buffer.alloc(9 + body.length);
  frame.writeUIntBE(length ?? body.length, 0, 3);
  frame[3] = type;
  frame[4] = flags;
  frame.writeUInt32BE(streamId, 5);
  body.copy(frame, 9);
  return frame;
}

/** What a client begins with, its settings empty. */
export const OPENING: Buffer = Buffer.concat([PREFACE, rawFrame({ type: FRAME.SETTINGS })]);

/** Literals without indexing, names and values below 127 octets. */
export function rawFields(...fields: readonly string[]): Buffer {
  const parts = fields.map((text, i) => `${i % 2 === 0 ? "\0" : ""}${String.fromCharCode(text.length)}${text}`);
  return Buffer.from(parts.join(""), "latin1");
}

/** The fields of a plain GET. */
export const GET: Buffer = rawFields(":method", "GET", ":scheme", "http", ":path", "/", ":authority", "orders");

/** The same of a POST. */
export const POST: Buffer = rawFields(":method", "POST", ":scheme", "http", ":path", "/", ":authority", "orders");

export interface ReadFrame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

/** All whole frames of some bytes; a plain reader, to hold ours against. */
export function readFrames(bytes: Buffer): ReadFrame[] {
  const frames: ReadFrame[] = [];
  for (let at = 0; at + 9 <= bytes.length; ) {
    const end = at + 9 + bytes.readUIntBE(at, 3);
    const payload = bytes.subarray(at + 9, end);
    frames.push({ type: bytes[at + 3]!, flags: bytes[at + 4]!, streamId: bytes.readUInt32BE(at + 5), payload });
    at = end;
  }
  return frames;
}
