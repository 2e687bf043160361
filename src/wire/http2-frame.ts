import type { ErrorName } from "./http2-codes.ts";

/** A frame as the reader gives it; buffers are views of the input, good until the next call. RFC 9113 section 6. */
export type Frame =
  | DataPiece
  | HeadersFrame
  | { readonly type: "rst-stream"; readonly streamId: number; readonly code: number }
  | { readonly type: "settings"; readonly settings: readonly Setting[] }
  | { readonly type: "settings-ack" }
  | { readonly type: "ping"; readonly isAck: boolean; readonly data: Buffer }
  | { readonly type: "goaway"; readonly lastStreamId: number; readonly code: number }
  /** `streamId` 0 is the connection. */
  | { readonly type: "window-update"; readonly streamId: number; readonly increment: number }
  /** PRIORITY, and types that we do not know: to be counted, and no more. */
  | { readonly type: "ignored" }
  | { readonly type: "stream-fault"; readonly streamId: number; readonly code: ErrorName; readonly why: string }
  | ConnectionFault;

/** A DATA frame, or a part of one as it arrived: nothing is gathered or copied. */
export interface DataPiece {
  readonly type: "data";
  readonly streamId: number;
  readonly piece: Buffer;
  /** What counts against flow control: the piece, and with the frame's last one its padding. RFC 9113 section 6.1. */
  readonly flowBytes: number;
  /** The peer's last octets on the stream. */
  readonly isEnd: boolean;
}

/** HEADERS with its CONTINUATIONs. */
export interface HeadersFrame {
  readonly type: "headers";
  readonly streamId: number;
  readonly block: Buffer;
  readonly isEnd: boolean;
  /** RFC 7540 section 5.3.1 makes this a stream error, when the block has been decoded; RFC 9113 says nothing. */
  readonly dependsOnItself: boolean;
}

export interface Setting {
  readonly id: number;
  readonly value: number;
}

/** The connection must be ended with `code`; the reader gives nothing more. */
export interface ConnectionFault {
  readonly type: "connection-fault";
  readonly code: ErrorName;
  readonly why: string;
}

export function connectionFault(code: ErrorName, why: string): ConnectionFault {
  return { type: "connection-fault", code, why };
}
