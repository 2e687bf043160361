import { Buffer } from "node:buffer";
import { ERROR_CODES, type ErrorName, FLAG, FRAME, FRAME_HEADER_BYTES } from "./http2-codes.ts";
import type { Setting } from "./http2-frame.ts";

// Each function makes one buffer, header and payload together, which belongs to the caller.

/**
 * A header block (latin-1, as HpackEncoder makes it) as HEADERS, with CONTINUATIONs when it is longer than the peer's
 * SETTINGS_MAX_FRAME_SIZE. RFC 9113 sections 6.2 and 6.10.
 */
export function writeHeaders(streamId: number, block: string, isEnd: boolean, frameBytesMax: number): Buffer {
  const endFlag = isEnd ? FLAG.END_STREAM : 0;
  if (block.length > frameBytesMax) return writeLongHeaders(streamId, block, endFlag, frameBytesMax);
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + block.length);
  writeHeader(frame, 0, { length: block.length, type: FRAME.HEADERS, flags: endFlag | FLAG.END_HEADERS, streamId });
  frame.write(block, FRAME_HEADER_BYTES, block.length, "latin1");
  return frame;
}

/** A whole DATA frame; for pieces that are cheaper to copy than to write by themselves. RFC 9113 section 6.1. */
export function writeData(streamId: number, piece: Buffer, isEnd: boolean): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + piece.length);
  const flags = isEnd ? FLAG.END_STREAM : 0;
  writeHeader(frame, 0, { length: piece.length, type: FRAME.DATA, flags, streamId });
  piece.copy(frame, FRAME_HEADER_BYTES);
  return frame;
}

/** The header of a DATA frame whose `length` octets follow in a buffer of their own. */
export function writeDataHeader(streamId: number, length: number, isEnd: boolean): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES);
  writeHeader(frame, 0, { length, type: FRAME.DATA, flags: isEnd ? FLAG.END_STREAM : 0, streamId });
  return frame;
}

/** RFC 9113 section 6.5. */
export function writeSettings(settings: readonly Setting[]): Buffer {
  const frame = control({ length: settings.length * 6, type: FRAME.SETTINGS, flags: 0, streamId: 0 });
  for (const [i, { id, value }] of settings.entries()) {
    frame.writeUInt16BE(id, FRAME_HEADER_BYTES + i * 6);
    frame.writeUInt32BE(value, FRAME_HEADER_BYTES + i * 6 + 2);
  }
  return frame;
}

export function writeSettingsAck(): Buffer {
  return control({ length: 0, type: FRAME.SETTINGS, flags: FLAG.ACK, streamId: 0 });
}

/** RFC 9113 section 6.7. `data` is 8 octets. */
export function writePing(data: Buffer, isAck: boolean): Buffer {
  const frame = control({ length: 8, type: FRAME.PING, flags: isAck ? FLAG.ACK : 0, streamId: 0 });
  data.copy(frame, FRAME_HEADER_BYTES, 0, 8);
  return frame;
}

/** RFC 9113 section 6.8. `why` is for people, in ASCII. */
export function writeGoaway(lastStreamId: number, code: ErrorName, why: string): Buffer {
  const frame = control({ length: 8 + why.length, type: FRAME.GOAWAY, flags: 0, streamId: 0 });
  frame.writeUInt32BE(lastStreamId, FRAME_HEADER_BYTES);
  frame.writeUInt32BE(ERROR_CODES[code], FRAME_HEADER_BYTES + 4);
  frame.write(why, FRAME_HEADER_BYTES + 8, why.length, "latin1");
  return frame;
}

/** RFC 9113 section 6.4. */
export function writeRstStream(streamId: number, code: ErrorName): Buffer {
  const frame = control({ length: 4, type: FRAME.RST_STREAM, flags: 0, streamId });
  frame.writeUInt32BE(ERROR_CODES[code], FRAME_HEADER_BYTES);
  return frame;
}

/** RFC 9113 section 6.9. Stream 0 is the connection. */
export function writeWindowUpdate(streamId: number, increment: number): Buffer {
  const frame = control({ length: 4, type: FRAME.WINDOW_UPDATE, flags: 0, streamId });
  frame.writeUInt32BE(increment, FRAME_HEADER_BYTES);
  return frame;
}

interface HeaderParts {
  readonly length: number;
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
}

function writeLongHeaders(streamId: number, block: string, endFlag: number, frameBytesMax: number): Buffer {
  const frameCount = Math.ceil(block.length / frameBytesMax);
  const frames = Buffer.allocUnsafe(block.length + frameCount * FRAME_HEADER_BYTES);
  let at = 0;
  for (let start = 0; start < block.length; start += frameBytesMax) {
    const length = Math.min(frameBytesMax, block.length - start);
    const type = start === 0 ? FRAME.HEADERS : FRAME.CONTINUATION;
    const flags = (start === 0 ? endFlag : 0) | (start + length === block.length ? FLAG.END_HEADERS : 0);
    writeHeader(frames, at, { length, type, flags, streamId });
    frames.write(block.slice(start, start + length), at + FRAME_HEADER_BYTES, length, "latin1");
    at += FRAME_HEADER_BYTES + length;
  }
  return frames;
}

function control(parts: HeaderParts): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + parts.length);
  writeHeader(frame, 0, parts);
  return frame;
}

/** RFC 9113 section 4.1. */
function writeHeader(into: Buffer, at: number, { length, type, flags, streamId }: HeaderParts): void {
  into[at] = length >> 16;
  into[at + 1] = length >> 8;
  into[at + 2] = length;
  into[at + 3] = type;
  into[at + 4] = flags;
  into[at + 5] = streamId >> 24;
  into[at + 6] = streamId >> 16;
  into[at + 7] = streamId >> 8;
  into[at + 8] = streamId;
}
