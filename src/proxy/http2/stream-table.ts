import { STREAM_ID_MAX } from "../../wire/http2-codes.ts";
import { ClosedStreams, type Ending } from "./closed-streams.ts";
import type { Http2Stream } from "./stream.ts";

/** Where a stream stands that is not open. RFC 9113 section 5.1. */
export type Absence = "idle" | "beyond-goaway" | "unknown" | Ending;

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
    this.#open.delete(streamId);
    this.#closed.add(streamId, ending);
  }

  /** Those that are open now; the list stays as it is when they close. */
  list(): readonly Http2Stream[] {
    return [...this.#open.values()];
  }

  /** Whether a HEADERS frame on the stream opens it. */
  isOpening(streamId: number): boolean {
    return this.#isServer && streamId % 2 === 1 && streamId > this.lastPeerId;
  }

  /** Of a stream that `get` does not know. */
  absenceOf(streamId: number): Absence {
    if (streamId > this.lastAcceptedId) return "beyond-goaway";
    // A server here never opens one, nor may it: pushing is off.
    const isIdle = this.#isServer
      ? streamId % 2 === 0 || streamId > this.lastPeerId
      : streamId % 2 === 0 || streamId >= this.#nextOwnId;
    return isIdle ? "idle" : (this.#closed.endingOf(streamId) ?? "unknown");
  }
}
