import { LIMITS } from "../core/limits.ts";
import { HeldOctets } from "./held-octets.ts";
import { FLAG, FRAME, FRAME_BYTES_MAX, FRAME_HEADER_BYTES, PREFACE } from "./http2-codes.ts";
import { type ConnectionFault, connectionFault, type DataPiece, type Frame } from "./http2-frame.ts";
import {
  type FrameHeader,
  readGoaway,
  readHeadersPayload,
  readPing,
  readPriority,
  readRstStream,
  readSettings,
  readStreamId,
  readWindowUpdate,
} from "./http2-payload.ts";

/** What the next octet belongs to. */
type Phase = "preface" | "header" | "payload" | "pad-length" | "data" | "skip" | "failed";

/** A header block whose CONTINUATIONs are awaited. */
interface OpenBlock {
  readonly streamId: number;
  readonly isEnd: boolean;
  readonly dependsOnItself: boolean;
  continuations: number;
}

/**
 * Reads the frames of one direction of a connection from input in any pieces. DATA passes through as it comes; other
 * payloads are copied only when they come in pieces. Everything that RFC 9113 sections 3.4, 4 and 6 say about a frame
 * by itself is checked here; what a frame means for a stream's state is the connection's to judge.
 */
export class Http2FrameReader {
  readonly #isServer: boolean;
  readonly #header = Buffer.alloc(FRAME_HEADER_BYTES);
  readonly #payload = new HeldOctets(FRAME_BYTES_MAX);
  readonly #block = new HeldOctets(LIMITS.headBytesMax);
  #phase: Phase;
  #input: Buffer = EMPTY;
  #at = 0;
  /** Octets of the preface or of a frame header that have come. */
  #headerBytes = 0;
  #type = 0;
  #flags = 0;
  #streamId = 0;
  /** Octets of the payload that have not come. */
  #left = 0;
  #padding = 0;
  #isFirstFrame = true;
  #payloadCount = 0;
  #openBlock: OpenBlock | null = null;

  /** `side`: ours. A server expects the client's preface. */
  constructor(side: "server" | "client") {
    this.#isServer = side === "server";
    this.#phase = this.#isServer ? "preface" : "header";
  }

  /** The number of the payload (DATA's aside) or header block that has come in part; 0 when there is none. */
  get openPayload(): number {
    return this.#phase === "payload" || this.#openBlock !== null ? this.#payloadCount : 0;
  }

  /** More input; `next` must have returned null before. */
  feed(chunk: Buffer): void {
    this.#input = chunk;
    this.#at = 0;
  }

  /** The next frame, or null when more input is needed. After a connection fault there is none. */
  next(): Frame | null {
    for (;;) {
      const phase = this.#phase;
      const frame = this.#step();
      if (frame !== null) {
        if (frame.type === "connection-fault") this.#phase = "failed";
        return frame;
      }
      if (this.#phase === phase && (this.#at >= this.#input.length || phase === "failed")) return null;
    }
  }

  #step(): Frame | null {
    switch (this.#phase) {
      case "preface":
        return this.#takePreface();
      case "header":
        return this.#takeHeader();
      case "payload":
        return this.#takePayload();
      case "pad-length":
        return this.#takePadLength();
      case "data":
        return this.#takeData();
      case "skip":
        this.#skip();
        return null;
      case "failed":
        return null;
    }
  }

  #takePreface(): Frame | null {
    const end = Math.min(this.#input.length, this.#at + PREFACE.length - this.#headerBytes);
    while (this.#at < end) {
      if (this.#input[this.#at++] !== PREFACE[this.#headerBytes++]) {
        return connectionFault("PROTOCOL_ERROR", "the connection does not begin with the preface");
      }
    }
    if (this.#headerBytes === PREFACE.length) {
      this.#headerBytes = 0;
      this.#phase = "header";
    }
    return null;
  }

  #takeHeader(): Frame | null {
    const have = this.#input.length - this.#at;
    if (this.#headerBytes === 0 && have >= FRAME_HEADER_BYTES) {
      const start = this.#at;
      this.#at += FRAME_HEADER_BYTES;
      return this.#beginFrame(this.#input, start);
    }
    const end = this.#at + Math.min(have, FRAME_HEADER_BYTES - this.#headerBytes);
    this.#headerBytes += this.#input.copy(this.#header, this.#headerBytes, this.#at, end);
    this.#at = end;
    if (this.#headerBytes < FRAME_HEADER_BYTES) return null;
    this.#headerBytes = 0;
    return this.#beginFrame(this.#header, 0);
  }

  #beginFrame(bytes: Buffer, at: number): Frame | null {
    const length = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
    this.#type = bytes[at + 3]!;
    this.#flags = bytes[at + 4]!;
    this.#streamId = readStreamId(bytes, at + 5);
    this.#left = length;
    const fault = this.#faultOfHeader(length);
    if (fault !== null) return fault;
    this.#isFirstFrame = false;
    switch (this.#type) {
      case FRAME.DATA:
        this.#padding = 0;
        this.#phase = (this.#flags & FLAG.PADDED) === 0 ? "data" : "pad-length";
        // An empty frame has no octets that would bring it on.
        return length > 0 ? null : this.#takeEmptyData();
      default:
        if (this.#type <= FRAME.CONTINUATION) {
          this.#phase = "payload";
          if (this.#openBlock === null) this.#payloadCount++;
          return length > 0 ? null : this.#takePayload();
        }
        this.#phase = length > 0 ? "skip" : "header";
        return { type: "ignored" };
    }
  }

  #faultOfHeader(length: number): ConnectionFault | null {
    if (this.#isFirstFrame && (this.#type !== FRAME.SETTINGS || (this.#flags & FLAG.ACK) !== 0)) {
      return connectionFault("PROTOCOL_ERROR", "the first frame is not SETTINGS");
    }
    if (length > FRAME_BYTES_MAX) return connectionFault("FRAME_SIZE_ERROR", "a frame is longer than allowed");
    const open = this.#openBlock;
    if (open !== null && (this.#type !== FRAME.CONTINUATION || this.#streamId !== open.streamId)) {
      return connectionFault("PROTOCOL_ERROR", "a header block is not followed by its CONTINUATION");
    }
    return this.#faultOfStreamId(open);
  }

  #faultOfStreamId(open: OpenBlock | null): ConnectionFault | null {
    switch (this.#type) {
      case FRAME.DATA:
      case FRAME.HEADERS:
      case FRAME.PRIORITY:
      case FRAME.RST_STREAM:
        return this.#streamId === 0 ? connectionFault("PROTOCOL_ERROR", "a frame of a stream is on stream 0") : null;
      case FRAME.SETTINGS:
      case FRAME.PING:
      case FRAME.GOAWAY:
        return this.#streamId === 0
          ? null
          : connectionFault("PROTOCOL_ERROR", "a frame of the connection is on a stream");
      case FRAME.PUSH_PROMISE:
        return connectionFault("PROTOCOL_ERROR", "a PUSH_PROMISE came, and pushing is not allowed");
      case FRAME.CONTINUATION:
        return open === null ? connectionFault("PROTOCOL_ERROR", "a CONTINUATION follows no header block") : null;
      default:
        return null;
    }
  }

  #takePadLength(): Frame | null {
    if (this.#at === this.#input.length) return null;
    const padding = this.#input[this.#at++]!;
    if (padding >= this.#left) return connectionFault("PROTOCOL_ERROR", "the padding is longer than its frame");
    this.#padding = padding;
    this.#left -= 1 + padding;
    this.#phase = "data";
    // The octet that says the padding's length counts with the frame's last piece.
    return this.#left === 0 ? this.#makePiece(EMPTY) : null;
  }

  #takeEmptyData(): Frame {
    if (this.#phase === "pad-length") return connectionFault("PROTOCOL_ERROR", "the padding is longer than its frame");
    return this.#makePiece(EMPTY);
  }

  #takeData(): Frame | null {
    const length = Math.min(this.#left, this.#input.length - this.#at);
    if (length === 0) return null;
    const piece = this.#input.subarray(this.#at, this.#at + length);
    this.#at += length;
    this.#left -= length;
    return this.#makePiece(piece);
  }

  #makePiece(piece: Buffer): DataPiece {
    const isLast = this.#left === 0;
    const isPadded = (this.#flags & FLAG.PADDED) !== 0;
    const flowBytes = piece.length + (isLast && isPadded ? this.#padding + 1 : 0);
    if (isLast) {
      this.#left = this.#padding;
      this.#phase = this.#padding > 0 ? "skip" : "header";
    }
    const isEnd = isLast && (this.#flags & FLAG.END_STREAM) !== 0;
    return { type: "data", streamId: this.#streamId, piece, flowBytes, isEnd };
  }

  #skip(): void {
    const length = Math.min(this.#left, this.#input.length - this.#at);
    this.#at += length;
    this.#left -= length;
    if (this.#left === 0) this.#phase = "header";
  }

  #takePayload(): Frame | null {
    const length = Math.min(this.#left, this.#input.length - this.#at);
    const part = this.#input.subarray(this.#at, this.#at + length);
    this.#at += length;
    this.#left -= length;
    if (this.#left > 0) {
      this.#payload.append(part);
      return null;
    }
    this.#phase = "header";
    if (this.#payload.bytes === 0) return this.#readPayload(part);
    const bytes = this.#payload.bytes + part.length;
    const whole = this.#payload.append(part).subarray(0, bytes);
    this.#payload.clear();
    return this.#readPayload(whole);
  }

  #readPayload(payload: Buffer): Frame | null {
    switch (this.#type) {
      case FRAME.HEADERS:
        return this.#beginBlock(payload);
      case FRAME.CONTINUATION:
        return this.#continueBlock(payload);
      case FRAME.PRIORITY:
        return readPriority(this.#streamId, payload);
      case FRAME.RST_STREAM:
        return readRstStream(this.#streamId, payload);
      case FRAME.SETTINGS:
        return readSettings(this.#flags, payload, this.#isServer);
      case FRAME.PING:
        return readPing(this.#flags, payload);
      case FRAME.GOAWAY:
        return readGoaway(payload);
      default:
        return readWindowUpdate(this.#streamId, payload);
    }
  }

  #beginBlock(payload: Buffer): Frame | null {
    const header: FrameHeader = { type: this.#type, flags: this.#flags, streamId: this.#streamId };
    const read = readHeadersPayload(header, payload);
    if (read === null) return connectionFault("PROTOCOL_ERROR", "the padding of a HEADERS frame is longer than it");
    const { fragment, dependsOnItself } = read;
    const isEnd = (this.#flags & FLAG.END_STREAM) !== 0;
    if ((this.#flags & FLAG.END_HEADERS) !== 0) {
      return { type: "headers", streamId: this.#streamId, block: fragment, isEnd, dependsOnItself };
    }
    this.#block.append(fragment);
    this.#openBlock = { streamId: this.#streamId, isEnd, dependsOnItself, continuations: 0 };
    return null;
  }

  /** Endless CONTINUATIONs, empty ones above all, cost the peer nothing (CVE-2024-27316 and kin). */
  #continueBlock(payload: Buffer): Frame | null {
    const open = this.#openBlock!;
    const bytes = this.#block.bytes + payload.length;
    if (++open.continuations > LIMITS.http2ContinuationsMax || bytes > LIMITS.headBytesMax) {
      return connectionFault("ENHANCE_YOUR_CALM", "a header block is too long");
    }
    const joined = this.#block.append(payload);
    if ((this.#flags & FLAG.END_HEADERS) === 0) return null;
    this.#block.clear();
    this.#openBlock = null;
    const { streamId, isEnd, dependsOnItself } = open;
    return { type: "headers", streamId, block: joined.subarray(0, bytes), isEnd, dependsOnItself };
  }
}

const EMPTY = Buffer.alloc(0);
