import { type ErrorName, STREAM_ID_MAX } from "../../wire/http2-codes.ts";
import { ClosedStreams, type Ending } from "./closed-streams.ts";
import type { Http2Stream } from "./stream.ts";

/** What came on a stream that is not open; `fault`: a frame that is faulty by itself. */
export type StrayFrame = "DATA" | "HEADERS" | "RST_STREAM" | "WINDOW_UPDATE" | { readonly fault: ErrorName };

/** What becomes of it. */
export type StrayVerdict =
  | "ignore"
  | { readonly ends: "stream"; readonly code: ErrorName }
  | { readonly ends: "connection"; readonly code: ErrorName; readonly why: string };

/** The streams of one connection: those that are open, and what is known of all others. */
export class StreamTable {
  readonly #isServer: boolean;
  readonly #open = new Map<number, Http2Stream>();
  readonly #closed = new ClosedStreams();
  /** Of ours, the next. */
  #nextOwnId = 1;
  /** Of the streams that the peer opened, the newest. */
  lastPeerId = 0;
  /** The last one that our GOAWAY let in; frames on later ones are passed over. RFC 9113 section 6.8. */
  lastAcceptedId = STREAM_ID_MAX;
  /** Of those that are open, the ones with long bodies. */
  longCount = 0;

  constructor(side: "server" | "client") {
    this.#isServer = side === "server";
  }

  get size(): number {
    return this.#open.size;
  }

  /** Whether there are numbers left for streams of ours. RFC 9113 section 5.1.1. */
  get hasOwnIds(): boolean {
    return this.#nextOwnId < STREAM_ID_MAX;
  }

  takeOwnId(): number {
    const streamId = this.#nextOwnId;
    this.#nextOwnId += 2;
    return streamId;
  }

  get(streamId: number): Http2Stream | undefined {
    return this.#open.get(streamId);
  }

  add(stream: Http2Stream): void {
    this.#open.set(stream.id, stream);
  }

  close(streamId: number, ending: Ending): void {
    if (this.longCount > 0 && this.#open.get(streamId)?.isLong === true) this.longCount--;
    this.#open.delete(streamId);
    this.#closed.add(streamId, ending);
  }

  /** Those that are open now; the list stays as it is when they close. */
  list(): readonly Http2Stream[] {
    return [...this.#open.values()];
  }

  /** The peer's SETTINGS_INITIAL_WINDOW_SIZE has changed. False: a window is too large now. RFC 9113 section 6.9.2. */
  adjustWindows(delta: number): boolean {
    return delta === 0 || this.list().every((stream) => stream.adjustWindow(delta));
  }

  /** Whether a HEADERS frame on the stream opens it. */
  isOpening(streamId: number): boolean {
    return this.#isServer && streamId % 2 === 1 && streamId > this.lastPeerId;
  }

  /** RFC 9113 section 5.1. */
  judgeStray(streamId: number, frame: StrayFrame): StrayVerdict {
    const ending = this.#closed.endingOf(streamId);
    // It was on its way when we reset the stream, or said that we take no more of them.
    if (ending === "by-us" || (this.#isServer && streamId > this.lastAcceptedId)) return "ignore";
    if (this.#isIdle(streamId)) return { ends: "connection", code: codeOf(frame), why: "a frame came on no stream" };
    if (typeof frame !== "string") return { ends: "stream", code: frame.fault };
    switch (frame) {
      case "RST_STREAM":
      case "WINDOW_UPDATE":
        return "ignore";
      case "DATA":
        return { ends: "stream", code: "STREAM_CLOSED" };
      case "HEADERS":
        return {
          ends: "connection",
          // One that we never saw open was passed over by its peer, for good.
          code: ending === null ? "PROTOCOL_ERROR" : "STREAM_CLOSED",
          why: "HEADERS came on a closed stream",
        };
    }
  }

  /** A server here never opens a stream, nor may the client's: pushing is off. */
  #isIdle(streamId: number): boolean {
    return streamId % 2 === 0 || (this.#isServer ? streamId > this.lastPeerId : streamId >= this.#nextOwnId);
  }
}

/** On an idle stream nothing is in its place. */
function codeOf(frame: StrayFrame): ErrorName {
  return typeof frame === "string" ? "PROTOCOL_ERROR" : frame.fault;
}
