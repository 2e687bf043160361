import type { CardeaError } from "../../core/errors.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Clock } from "../../core/ports.ts";
import { type HeaderBlock, HpackDecoder } from "../../wire/hpack-decoder.ts";
import type { ErrorName } from "../../wire/http2-codes.ts";
import type { DataPiece, Frame, HeadersFrame, Setting } from "../../wire/http2-frame.ts";
import { Http2FrameReader } from "../../wire/http2-frame-reader.ts";
import type { FloodGuard } from "./flood-guard.ts";
import type { Liveness } from "./liveness.ts";
import { HEADER_TABLE_BYTES } from "./own-settings.ts";
import type { PeerSettings } from "./peer-settings.ts";
import { type Opening, peerFault, peerFlood, type SessionOwner } from "./session-owner.ts";
import { Http2Stream } from "./stream.ts";
import type { StreamHost } from "./stream-host.ts";
import type { StrayFrame, StreamTable } from "./stream-table.ts";

/** The connection, as the frames that come on it see it. */
export interface FrameHost extends StreamHost {
  readonly peer: PeerSettings;
  /** Nothing that still comes is looked at. */
  readonly isOver: boolean;
  onGoaway(lastStreamId: number, code: number): void;
  /** Tells the peer why, and ends the connection. */
  fail(code: ErrorName, error: CardeaError): void;
}

/** What frames are held against, which their connection looks at as well. */
export interface FrameParts {
  readonly owner: SessionOwner;
  readonly clock: Clock;
  readonly streams: StreamTable;
  readonly guard: FloodGuard;
  readonly liveness: Liveness;
}

/** What a peer's frames do to its connection and streams. RFC 9113 sections 5 and 6. */
export class ReceivedFrames {
  readonly #session: FrameHost;
  readonly #owner: SessionOwner;
  readonly #side: SessionOwner["side"];
  readonly #clock: Clock;
  readonly #streams: StreamTable;
  readonly #guard: FloodGuard;
  readonly #liveness: Liveness;
  readonly #reader: Http2FrameReader;
  readonly #decoder = new HpackDecoder({
    tableBytesMax: HEADER_TABLE_BYTES,
    listBytesMax: LIMITS.headBytesMax,
    countMax: LIMITS.headerCountMax,
  });

  constructor(session: FrameHost, { owner, clock, streams, guard, liveness }: FrameParts) {
    this.#session = session;
    this.#owner = owner;
    this.#side = owner.side;
    this.#clock = clock;
    this.#streams = streams;
    this.#guard = guard;
    this.#liveness = liveness;
    this.#reader = new Http2FrameReader(owner.side);
  }

  /** See `Http2FrameReader.openPayload`. */
  get openPayload(): Http2FrameReader["openPayload"] {
    return this.#reader.openPayload;
  }

  /** The connection's next bytes. */
  take(chunk: Buffer): void {
    this.#reader.feed(chunk);
    // A frame may end the connection.
    for (let frame = this.#reader.next(); frame !== null && !this.#session.isOver; frame = this.#reader.next()) {
      this.#takeFrame(frame);
    }
  }

  #takeFrame(frame: Frame): void {
    switch (frame.type) {
      case "data":
        this.#takeData(frame);
        break;
      case "headers":
        this.#takeHeaders(frame);
        break;
      case "rst-stream":
        this.#takeReset(frame.streamId, frame.code);
        break;
      case "window-update":
        if (this.#mayControl()) this.#takeWindowUpdate(frame.streamId, frame.increment);
        break;
      case "settings":
        if (this.#mayControl()) this.#takeSettings(frame.settings);
        break;
      case "settings-ack":
        if (this.#mayControl()) this.#liveness.settingsAcknowledged();
        break;
      case "ping":
        if (frame.isAck) this.#liveness.answered();
        if (this.#mayControl() && !frame.isAck) this.#session.output.ping(frame.data, true);
        break;
      case "goaway":
        if (this.#mayControl()) this.#session.onGoaway(frame.lastStreamId, frame.code);
        break;
      case "ignored":
        this.#mayControl();
        break;
      case "stream-fault":
        if (this.#mayControl()) this.#takeStreamFault(frame.streamId, frame.code, frame.why);
        break;
      case "connection-fault":
        this.#failPeer(frame.code, frame.why);
        break;
    }
  }

  #takeData(frame: DataPiece): void {
    // On whatever stream: it has used the connection's window. RFC 9113 section 6.9.
    if (!this.#session.credit.take(frame.flowBytes)) {
      this.#failPeer("FLOW_CONTROL_ERROR", "the connection's window was overrun");
      return;
    }
    if (frame.piece.length === 0 && !frame.isEnd && !this.#mayControl()) return;
    const stream = this.#streams.get(frame.streamId);
    if (stream !== undefined) stream.takeData(frame);
    else this.#takeStray(frame.streamId, "DATA");
  }

  #takeHeaders({ streamId, block, isEnd, dependsOnItself }: HeadersFrame): void {
    // Whatever becomes of the stream, the table must be kept in step.
    const fields = this.#decoder.decode(block);
    if (fields.at === "refused") {
      this.#failPeer("COMPRESSION_ERROR", fields.why);
      return;
    }
    const stream = this.#streams.get(streamId);
    if (stream !== undefined) stream.takeBlock(fields, isEnd);
    else if (this.#streams.isOpening(streamId)) this.#openPeerStream(streamId, fields, { isEnd, dependsOnItself });
    else this.#takeStray(streamId, "HEADERS");
  }

  #openPeerStream(streamId: number, fields: HeaderBlock, opening: Opening): void {
    this.#streams.lastPeerId = streamId;
    if (streamId > this.#streams.lastAcceptedId) return;
    if (this.#streams.size >= LIMITS.http2StreamsMax) {
      this.#streams.close(streamId, "by-us");
      this.#session.sendReset(streamId, "REFUSED_STREAM");
      return;
    }
    const stream = new Http2Stream(streamId, this.#session, this.#session.peer.windowBytes);
    this.#streams.add(stream);
    if (opening.isEnd) stream.beginEnded();
    this.#owner.onStream(stream, fields, opening);
  }

  /** A frame on a stream that is not open. RFC 9113 section 5.1. */
  #takeStray(streamId: number, frame: StrayFrame): void {
    const verdict = this.#streams.judgeStray(streamId, frame);
    if (verdict === "ignore") this.#mayControl();
    else if (verdict.ends === "connection") this.#failPeer(verdict.code, verdict.why);
    else this.#session.sendReset(streamId, verdict.code);
  }

  #takeReset(streamId: number, code: number): void {
    const stream = this.#streams.get(streamId);
    if (stream === undefined) this.#takeStray(streamId, "RST_STREAM");
    else {
      stream.takeReset(code);
      this.countReset();
    }
  }

  #takeWindowUpdate(streamId: number, increment: number): void {
    const stream = this.#streams.get(streamId);
    if (stream !== undefined) stream.widen(increment);
    else if (streamId !== 0) this.#takeStray(streamId, "WINDOW_UPDATE");
    else if (!this.#session.sender.widen(increment)) {
      this.#failPeer("FLOW_CONTROL_ERROR", "the connection's window is too large");
    }
  }

  #takeStreamFault(streamId: number, code: ErrorName, why: string): void {
    const stream = this.#streams.get(streamId);
    if (stream !== undefined) stream.takeFault(code, why);
    else this.#takeStray(streamId, { fault: code });
  }

  #takeSettings(settings: readonly Setting[]): void {
    const before = this.#session.peer.windowBytes;
    this.#session.peer.apply(settings);
    this.#session.output.limitTable(this.#session.peer.headerTableBytes);
    this.#session.output.frameBytesMax = this.#session.peer.frameBytesMax;
    this.#session.output.settingsAck();
    if (this.#streams.adjustWindows(this.#session.peer.windowBytes - before)) this.#owner.onRoom();
    else this.#failPeer("FLOW_CONTROL_ERROR", "SETTINGS make a window too large");
  }

  /** One of the frames that carry nothing: false, and the end, when there are too many. */
  #mayControl(): boolean {
    if (this.#guard.controls.take(this.#clock.monotonicMs())) return true;
    this.#session.fail("ENHANCE_YOUR_CALM", peerFlood(this.#side, "too many frames that carry nothing"));
    return false;
  }

  /** A reset of the peer's making; the end, when there are too many. */
  countReset(): void {
    // A server that resets what it was asked for harms nobody but itself.
    if (this.#side === "client" || this.#session.isOver) return;
    if (this.#guard.resets.take(this.#clock.monotonicMs())) return;
    this.#session.fail("ENHANCE_YOUR_CALM", peerFlood(this.#side, "too many streams were reset"));
  }

  #failPeer(code: ErrorName, why: string): void {
    this.#session.fail(code, peerFault(this.#side, why));
  }
}
