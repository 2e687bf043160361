import { giveBack } from "../../core/lent-bytes.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Connection } from "../../core/ports.ts";
import type { Headers } from "../../wire/headers.ts";
import { HpackEncoder } from "../../wire/hpack-encoder.ts";
import type { ErrorName } from "../../wire/http2-codes.ts";
import type { Setting } from "../../wire/http2-frame.ts";
import {
  writeData,
  writeDataHeader,
  writeGoaway,
  writeHeaders,
  writePing,
  writeRstStream,
  writeSettings,
  writeSettingsAck,
  writeWindowUpdate,
} from "../../wire/http2-frame-writer.ts";
import type { Allowance } from "./flood-guard.ts";
import { HEADER_TABLE_BYTES } from "./own-settings.ts";

export interface OutputOptions {
  /** What the peer may send in the way of window updates: our data is reason for more. */
  readonly updates: Allowance;
  /** The connection takes no more for now. */
  readonly onBlocked: () => void;
  /** The peer makes us answer and does not read: too much is unsent. */
  readonly onOverrun: () => void;
}

/**
 * The frames that a connection sends. Each is handed to the connection at once, which gathers all of a turn into one
 * write; the header table is in step with what was written, in its order.
 */
export class Output {
  /** Nothing more may be written. */
  isClosed = false;
  /** The peer's SETTINGS_MAX_FRAME_SIZE. */
  frameBytesMax = 16_384;
  readonly #connection: Connection;
  readonly #encoder: HpackEncoder;
  readonly #options: OutputOptions;

  constructor(connection: Connection, options: OutputOptions) {
    this.#connection = connection;
    this.#encoder = new HpackEncoder(HEADER_TABLE_BYTES);
    this.#options = options;
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. */
  limitTable(bytesMax: number): void {
    this.#encoder.limitTable(bytesMax);
  }

  headers(streamId: number, fields: FieldLists, isEnd: boolean): void {
    // A block that is not sent would leave the tables out of step, but then nothing is sent any more.
    const block = this.#encoder.encode(fields.pseudo, fields.headers, fields.neverIndexed);
    this.write(writeHeaders(streamId, block, isEnd, this.frameBytesMax));
  }

  data(streamId: number, piece: Buffer, isEnd: boolean): void {
    this.#options.updates.give(UPDATES_PER_FRAME);
    if (piece.length <= COPIED_BYTES_MAX) {
      this.write(writeData(streamId, piece, isEnd));
      giveBack(piece);
      return;
    }
    this.write(writeDataHeader(streamId, piece.length, isEnd));
    this.write(piece);
  }

  reset(streamId: number, code: ErrorName): void {
    this.write(writeRstStream(streamId, code));
  }

  /** Stream 0 is the connection. */
  windowUpdate(streamId: number, increment: number): void {
    this.write(writeWindowUpdate(streamId, increment));
  }

  settings(settings: readonly Setting[]): void {
    this.write(writeSettings(settings));
  }

  settingsAck(): void {
    this.write(writeSettingsAck());
  }

  ping(data: Buffer, isAck: boolean): void {
    this.write(writePing(data, isAck));
  }

  goaway(lastStreamId: number, code: ErrorName, why: string): void {
    this.write(writeGoaway(lastStreamId, code, why));
  }

  /** The connection owns the bytes. */
  write(bytes: Buffer): void {
    if (this.isClosed || this.#connection.write(bytes)) return;
    this.#options.onBlocked();
    if (this.#connection.unsentBytes > LIMITS.http2UnsentBytesMax) this.#options.onOverrun();
  }
}

/** Pseudo-header fields, then all others. */
export interface FieldLists {
  readonly pseudo: Headers;
  readonly headers: Headers;
  /** Of `headers`, in lower case: what no hop may index. */
  readonly neverIndexed?: readonly string[] | null;
}

/** Above this, copying a piece costs more than writing it by itself. */
const COPIED_BYTES_MAX = 8_192;
/** Peers answer a DATA frame by two window updates at the most, but for odd ones. */
const UPDATES_PER_FRAME = 3;
