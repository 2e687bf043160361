import { CardeaError, toCardeaError } from "../../core/errors.ts";
import type { Clock, Connection, ConnectionHandlers } from "../../core/ports.ts";
import { type ErrorName, errorNameOf, PREFACE, STREAM_ID_MAX } from "../../wire/http2-codes.ts";
import type { Moment } from "../live.ts";
import type { Ending } from "./closed-streams.ts";
import { ConnectionCredit } from "./connection-credit.ts";
import { DataSender } from "./data-sender.ts";
import { FloodGuard } from "./flood-guard.ts";
import { Liveness } from "./liveness.ts";
import { Output } from "./output.ts";
import { ownSettings } from "./own-settings.ts";
import { PeerSettings } from "./peer-settings.ts";
import { type FrameHost, ReceivedFrames } from "./received-frames.ts";
import { peerFlood, peerGone, peerLate, type SessionOwner } from "./session-owner.ts";
import { Http2Stream } from "./stream.ts";
import { StreamTable } from "./stream-table.ts";

/**
 * `open`: streams come and go. `draining`: none is begun any more. `lingering`: GOAWAY and our end have been sent, what
 * still comes is thrown away. `gone`: closed.
 */
type State = "open" | "draining" | "lingering" | "gone";

/** One HTTP/2 connection on either side, and its streams; what their fields mean is its owner's affair. RFC 9113. */
export class Http2Session implements ConnectionHandlers, FrameHost {
  /** Frames are looked at where they lie; what a frame reader or a stream holds back is a copy. */
  readonly takesLent = true;
  readonly sender = new DataSender();
  readonly credit: ConnectionCredit;
  readonly peer = new PeerSettings();
  readonly output: Output;
  readonly #connection: Connection;
  readonly #owner: SessionOwner;
  readonly #frames: ReceivedFrames;
  readonly #guard = new FloodGuard();
  readonly #liveness: Liveness;
  readonly #streams: StreamTable;
  #state: State = "open";
  #hasLost = false;
  #isClosed = false;

  constructor(connection: Connection, owner: SessionOwner, clock: Clock) {
    this.#connection = connection;
    this.#owner = owner;
    this.credit = new ConnectionCredit(owner.streamWindowBytes);
    this.#liveness = new Liveness(clock.monotonicMs());
    this.#streams = new StreamTable(owner.side);
    const parts = { owner, clock, streams: this.#streams, guard: this.#guard, liveness: this.#liveness };
    this.#frames = new ReceivedFrames(this, parts);
    this.output = new Output(connection, {
      updates: this.#guard.controls,
      onBlocked: () => {
        this.sender.isBlocked = true;
      },
      onOverrun: () => this.cut(peerFlood(owner.side, "the peer makes us answer and does not read")),
    });
    if (owner.side === "client") this.output.write(PREFACE);
    this.output.settings(ownSettings(owner.side, owner.streamWindowBytes));
    this.#returnCredit();
    connection.setHandlers(this);
  }

  get streamCount(): number {
    return this.#streams.size;
  }

  /** Streams with long bodies. */
  get longStreamCount(): number {
    return this.#streams.longCount;
  }

  onLong(): void {
    this.#streams.longCount++;
  }

  /** Whether a stream of ours may be opened now. */
  get hasRoom(): boolean {
    return this.#state === "open" && this.#streams.size < this.peer.streamsMax && this.#streams.hasOwnIds;
  }

  /** Nothing is sent any more, and what still comes is thrown away. */
  get isOver(): boolean {
    return this.#state === "lingering" || this.#state === "gone";
  }

  openStream(): Http2Stream {
    const stream = new Http2Stream(this.#streams.takeOwnId(), this, this.peer.windowBytes);
    this.#streams.add(stream);
    return stream;
  }

  sendReset(streamId: number, code: ErrorName): void {
    this.output.reset(streamId, code);
    // What the peer made us reset costs as much as what it resets itself.
    if (code !== "NO_ERROR" && code !== "CANCEL" && code !== "INTERNAL_ERROR") this.#frames.countReset();
  }

  onReleased(): void {
    if (!this.isOver) this.#returnCredit();
  }

  onStreamClosed(stream: Http2Stream, ending: Ending): void {
    this.#streams.close(stream.id, ending);
    if (this.isOver) return;
    this.#returnCredit();
    if (this.#state === "draining" && this.#streams.size === 0) this.#endDrained();
    else this.#owner.onRoom();
  }

  onData(chunk: Buffer): void {
    if (this.isOver) return;
    try {
      this.#frames.take(chunk);
      if (!this.isOver) this.#returnCredit();
    } catch (thrown) {
      // A fault of ours ends this connection and no other.
      this.fail("INTERNAL_ERROR", toCardeaError(thrown));
    }
  }

  onEnd(): void {
    // Nobody half-closes an HTTP/2 connection: the peer could not even acknowledge what we send.
    if (!this.isOver) this.#linger();
    this.#lose(peerGone(this.#owner.side, "the peer ended the connection"));
  }

  onDrain(): void {
    this.sender.isBlocked = false;
    this.sender.pump();
  }

  onClose(error: CardeaError | undefined): void {
    this.#state = "gone";
    this.output.isClosed = true;
    this.#lose(error ?? peerGone(this.#owner.side, "the peer closed the connection"));
    this.#close();
  }

  /** Looks at the deadlines that every connection has, and has its streams look at theirs. */
  onTick(now: Moment): void {
    if (this.#state === "gone") return;
    const due = this.#liveness.check(now.monotonicMs, {
      bytesReceived: this.#connection.bytesReceived,
      hasSettings: this.peer.hasArrived,
      mayProbe: this.#owner.probesPeer && this.#streams.size > 0,
      openPayload: this.#frames.openPayload,
      isLingering: this.#state === "lingering" && this.#connection.unsentBytes === 0,
    });
    switch (due) {
      case "nothing":
        break;
      case "settings-timeout":
        this.fail("SETTINGS_TIMEOUT", peerLate(this.#owner.side, "SETTINGS did not come in time"));
        break;
      case "head-timeout":
        this.fail("ENHANCE_YOUR_CALM", peerLate(this.#owner.side, "a frame did not come whole in time"));
        break;
      case "ping":
        this.output.ping(PROBE, false);
        break;
      case "dead":
        this.cut(peerGone(this.#owner.side, "the peer does not answer any more"));
        break;
      case "drop":
        this.#connection.destroy();
        break;
    }
    for (const stream of this.#streams.list()) stream.onTick(now.monotonicMs);
    // What was on its way when we said that we drain has come by now.
    if (this.#state === "draining" && this.#streams.lastAcceptedId === STREAM_ID_MAX) this.#sayGoaway("NO_ERROR", "");
  }

  /** Takes no more streams; ends when those under way have ended. RFC 9113 section 6.8. */
  drain(): void {
    if (this.#state !== "open") return;
    this.#state = "draining";
    if (this.#streams.size === 0) this.#endDrained();
    else if (this.#owner.side === "server") this.output.goaway(STREAM_ID_MAX, "NO_ERROR", "");
  }

  /** Tells the peer why, and ends the connection; what is under way on it fails with `error`. */
  fail(code: ErrorName, error: CardeaError): void {
    if (this.isOver) return;
    this.#sayGoaway(code, error.message);
    this.#linger();
    this.#lose(error);
  }

  /** Ends it at once. */
  cut(error: CardeaError): void {
    if (this.#state === "gone") return;
    const hadStreams = this.#streams.size > 0;
    this.#state = "gone";
    this.output.isClosed = true;
    this.#lose(error);
    this.#connection.destroy({ reset: hadStreams });
    this.#close();
  }

  /** The peer takes no more streams; those of ours that it has not seen are lost. RFC 9113 section 6.8. */
  onGoaway(lastStreamId: number, code: number): void {
    if (this.#state === "open") this.#state = "draining";
    this.#owner.onRetired();
    const error = peerGone(this.#owner.side, `the peer takes no more streams (${errorNameOf(code)})`);
    for (const stream of this.#owner.side === "client" ? this.#streams.list() : NO_STREAMS) {
      if (stream.id > lastStreamId) stream.takeLoss(error, true);
    }
    if (this.#state === "draining" && this.#streams.size === 0) this.#endDrained();
  }

  #sayGoaway(code: ErrorName, why: string): void {
    this.#streams.lastAcceptedId = this.#streams.lastPeerId;
    // What went wrong inside is nobody's business.
    this.output.goaway(this.#streams.lastPeerId, code, code === "INTERNAL_ERROR" ? "" : why);
  }

  #endDrained(): void {
    this.#sayGoaway("NO_ERROR", "");
    this.#linger();
    this.#lose(new CardeaError("draining", "the connection was ended in good order"));
  }

  /** Half-close, so that what was written arrives: a reset might overtake it. */
  #linger(): void {
    this.#state = "lingering";
    this.output.isClosed = true;
    this.#connection.end();
  }

  #lose(error: CardeaError): void {
    if (this.#hasLost) return;
    this.#hasLost = true;
    for (const stream of this.#streams.list()) stream.takeLoss(error, false);
    this.#owner.onLost(error);
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#owner.onClosed();
  }

  #returnCredit(): void {
    const increment = this.credit.collect();
    if (increment > 0) this.output.windowUpdate(0, increment);
  }
}

const PROBE: Buffer = Buffer.from("cardea\0\0", "latin1");
const NO_STREAMS: readonly Http2Stream[] = Object.freeze([]);
