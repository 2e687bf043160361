import type { CardeaError } from "../../core/errors.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Headers } from "../../wire/headers.ts";
import type { HeaderBlock } from "../../wire/hpack-decoder.ts";
import { ERROR_CODES, type ErrorName, WINDOW_BYTES_MAX } from "../../wire/http2-codes.ts";
import type { DataPiece } from "../../wire/http2-frame.ts";
import { Stillness } from "../live.ts";
import type { Ending } from "./closed-streams.ts";
import type { DataSource } from "./data-sender.ts";
import type { FieldLists } from "./output.ts";
import { processMemory } from "./process-memory.ts";
import type { StreamEvents } from "./stream-events.ts";
import type { StreamHost } from "./stream-host.ts";
import { UNHEARD } from "./unheard.ts";

/** RFC 9113 section 5.1; a stream of ours is never idle or reserved. Each half-closed state is named by who has ended. */
export type StreamState = "open" | "half-closed-local" | "half-closed-remote" | "closed";

/**
 * One stream of a connection, on either side: its state, its two windows, what waits to be sent, and what waits for a
 * reader that has paused. Knows nothing of requests.
 */
export class Http2Stream implements DataSource {
  readonly id: number;
  queuedBytes = 0;
  sentBytes = 0;
  receivedBytes = 0;
  /** What comes is an answer, which a reset behind its end does not take back. RFC 9113 section 8.1. */
  awaitsAnswer = false;
  /** A long body is under way, or announced. */
  isLong = false;
  readonly #host: StreamHost;
  #events: StreamEvents = UNHEARD;
  #state: StreamState = "open";
  #sendWindow: number;
  readonly #queue: Buffer[] = [];
  #isFull = false;
  /** To tell that nothing moves. */
  readonly #stillness = new Stillness();
  /** The trailers to end with once the queue is empty; null: we go on. */
  #ending: Headers | null = null;
  /** What to reset the stream with once we have ended: nobody reads on, or the peer broke a rule. */
  #resetCode: ErrorName | null = null;
  #receiveWindow: number;
  /** Delivered, and not yet returned to the peer's window. */
  #owedBytes = 0;
  #isPaused = false;
  #isDeaf = false;
  #held: Buffer[] = [];
  /** The end that waits behind what is held; its block is null when it came with DATA. */
  #heldEnd: { readonly block: HeaderBlock | null } | null = null;
  /** Of the body, by its content-length; -1 when nothing was said. */
  #bytesLeft = -1;
  #isEndDelivered = false;

  constructor(id: number, host: StreamHost, sendWindow: number) {
    this.id = id;
    this.#host = host;
    this.#receiveWindow = host.credit.streamWindowBytes;
    this.#sendWindow = sendWindow;
  }

  get state(): StreamState {
    return this.#state;
  }

  get hasSendable(): boolean {
    return this.#queue.length > 0 && this.#sendWindow > 0;
  }

  /** Called every few hundred milliseconds. */
  onTick(nowMs: number): void {
    const isStarved = this.#queue.length > 0;
    // What is received does not help a peer that takes nothing.
    const bytes = isStarved ? this.sentBytes : this.sentBytes + this.receivedBytes;
    this.#events.onStill(this.#stillness.measureMs(bytes, nowMs), isStarved);
  }

  setEvents(events: StreamEvents): void {
    this.#events = events;
  }

  /** The peer has ended with the block that opened the stream. */
  beginEnded(): void {
    this.#state = "half-closed-remote";
    this.holdEnd();
  }

  /** The peer ended with a head that opens a tunnel: whoever takes the stream over and resumes it hears of it. */
  holdEnd(): void {
    this.#heldEnd = { block: null };
  }

  /** How many bytes of DATA must come; any other number is a fault. RFC 9113 section 8.1.1. */
  expectBytes(count: number): void {
    this.#bytesLeft = count;
    this.announce(count);
  }

  /** So many bytes are to come, or to be sent. */
  announce(count: number): void {
    if (this.isLong || count < LIMITS.http2LongBodyBytesMin || this.#state === "closed") return;
    this.isLong = true;
    this.#host.onLong();
  }

  // Sending.

  sendHeaders(fields: FieldLists, isEnd: boolean): void {
    if (!this.#maySend()) return;
    this.#host.output.headers(this.id, fields, isEnd);
    if (isEnd) this.#endLocal();
  }

  /** The stream owns the bytes. False: wait for `onDrain`. */
  sendData(piece: Buffer): boolean {
    if (!this.#maySend() || piece.length === 0) return true;
    this.#enqueue(piece);
    this.#isFull ||=
      this.queuedBytes >= LIMITS.http2StreamQueueBytesMax || (this.queuedBytes > 0 && processMemory.isTight);
    return !this.#isFull;
  }

  sendEnd(trailers: Headers): void {
    if (!this.#maySend()) return;
    this.#ending = trailers;
    if (this.#queue.length === 0) this.#finish(trailers);
  }

  /** The last piece and the end in one frame. */
  sendLast(piece: Buffer, trailers: Headers): void {
    if (!this.#maySend()) return;
    this.#ending = trailers;
    this.#enqueue(piece);
  }

  /** Nobody reads what the peer still sends: once we have ended, it is told to stop. RFC 9113 section 8.1. */
  stopReading(): void {
    this.#isDeaf = true;
    this.#dropHeld();
    this.#resetCode ??= "NO_ERROR";
    if (this.#state === "half-closed-local") this.reset(this.#resetCode);
  }

  /** Ends both directions at once. A fault of the peer's is what it is told, whatever `code` says. */
  reset(code: ErrorName): void {
    if (this.#state === "closed") return;
    this.#host.sendReset(this.id, this.#isFaulty() ? this.#resetCode! : code);
    this.#isDeaf = true;
    this.#close("by-us");
  }

  sendFrame(bytesMax: number): number {
    const first = this.#queue[0]!;
    const bytes = Math.min(first.length, bytesMax, this.#sendWindow);
    if (bytes === first.length) this.#queue.shift();
    else this.#queue[0] = first.subarray(bytes);
    this.#sendWindow -= bytes;
    this.queuedBytes -= bytes;
    processMemory.remove(bytes);
    this.sentBytes += bytes;
    this.announce(this.sentBytes + this.receivedBytes);
    const ending = this.#queue.length === 0 ? this.#ending : null;
    const isEnd = ending !== null && ending.length === 0 && !this.#isFaulty();
    this.#host.output.data(this.id, bytes === first.length ? first : first.subarray(0, bytes), isEnd);
    if (isEnd) this.#endLocal();
    else if (ending !== null) this.#finish(ending);
    else if (this.#isFull && this.queuedBytes < LIMITS.http2StreamQueueBytesMax / 2) {
      this.#isFull = false;
      this.#events.onDrain();
    }
    return bytes;
  }

  // Receiving.

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#deliverHeld();
    this.#returnCredit();
    this.#host.onReleased();
  }

  takeData({ piece, flowBytes, isEnd }: DataPiece): void {
    this.receivedBytes += flowBytes;
    this.#receiveWindow -= flowBytes;
    this.announce(this.sentBytes + this.receivedBytes);
    if (this.#hasPeerEnded()) this.#fail("STREAM_CLOSED", "DATA came behind the end of its stream");
    else if (this.#receiveWindow < 0) this.#fail("FLOW_CONTROL_ERROR", "a stream's window was overrun");
    else if (!this.#isOfLength(piece.length, isEnd)) this.#fail("PROTOCOL_ERROR", LENGTH_FAULT);
    else {
      if (isEnd) this.#endRemote();
      if (this.#isDeaf) return;
      this.#owedBytes += flowBytes - piece.length;
      if (piece.length > 0) this.#takePiece(piece);
      if (isEnd) this.#takeEnd(null);
      this.#returnCredit();
    }
  }

  takeBlock(block: HeaderBlock, isEnd: boolean): void {
    this.receivedBytes++;
    if (this.#hasPeerEnded()) this.#fail("STREAM_CLOSED", "HEADERS came behind the end of their stream");
    else if (isEnd && !this.#isOfLength(0, true)) this.#fail("PROTOCOL_ERROR", LENGTH_FAULT);
    else {
      if (isEnd) this.#endRemote();
      if (this.#isDeaf) return;
      if (isEnd) this.#takeEnd(block);
      else this.#events.onBlock(block, false);
    }
  }

  takeReset(code: number): void {
    // The answer is whole, and what is held of it is still to be read; the rest of the request alone is not wanted.
    if (code === ERROR_CODES.NO_ERROR && this.awaitsAnswer && this.#hasPeerEnded()) return this.#close("by-peer");
    this.#isDeaf = true;
    this.#close("by-peer");
    this.#events.onReset(code);
  }

  /** The peer broke a rule that the frame reader knows. */
  takeFault(code: ErrorName, why: string): void {
    this.#fail(code, why);
  }

  /** The connection is gone. */
  takeLoss(error: CardeaError, isUnprocessed: boolean): void {
    if (this.#state === "closed") return;
    this.#isDeaf = true;
    this.#close("by-peer");
    this.#events.onLost(error, isUnprocessed);
  }

  /** WINDOW_UPDATE. RFC 9113 section 6.9.1. */
  widen(increment: number): void {
    if (this.#sendWindow + increment > WINDOW_BYTES_MAX) this.#fail("FLOW_CONTROL_ERROR", "a window is too large");
    else this.adjustWindow(increment);
  }

  /** A change of SETTINGS_INITIAL_WINDOW_SIZE; may take the window below zero. False: too large. RFC 9113 section 6.9.2. */
  adjustWindow(delta: number): boolean {
    this.#sendWindow += delta;
    if (this.#sendWindow > WINDOW_BYTES_MAX) return false;
    this.#host.sender.submit(this);
    return true;
  }

  #enqueue(piece: Buffer): void {
    this.#queue.push(piece);
    this.queuedBytes += piece.length;
    processMemory.add(piece.length);
    this.#host.sender.submit(this);
  }

  #maySend(): boolean {
    return (this.#state === "open" || this.#state === "half-closed-remote") && this.#ending === null;
  }

  #hasPeerEnded(): boolean {
    return this.#state === "half-closed-remote" || this.#state === "closed";
  }

  #isFaulty(): boolean {
    return this.#resetCode !== null && this.#resetCode !== "NO_ERROR";
  }

  /** After the last piece. A stream whose peer broke a rule gets its answer, but ends with the code. */
  #finish(trailers: Headers): void {
    if (this.#isFaulty()) {
      this.reset(this.#resetCode!);
      return;
    }
    if (trailers.length > 0) this.#host.output.headers(this.id, { pseudo: NO_HEADERS, headers: trailers }, true);
    else this.#host.output.data(this.id, EMPTY, true);
    this.#endLocal();
  }

  #endLocal(): void {
    if (this.#state === "half-closed-remote") this.#close("by-peer");
    else {
      this.#state = "half-closed-local";
      if (this.#resetCode !== null) this.reset(this.#resetCode);
    }
  }

  #endRemote(): void {
    if (this.#state === "half-closed-local") this.#close("by-peer");
    else this.#state = "half-closed-remote";
  }

  /** What is held for the reader stays, when both sides ended in good order. */
  #close(ending: Ending): void {
    this.#state = "closed";
    this.#queue.length = 0;
    processMemory.remove(this.queuedBytes);
    this.queuedBytes = 0;
    this.#host.sender.remove(this);
    if (this.#isDeaf) this.#dropHeld();
    this.#host.onStreamClosed(this, ending);
    if (this.#isEndDelivered) this.#events.onClosed();
  }

  #isOfLength(bytes: number, isEnd: boolean): boolean {
    if (this.#bytesLeft < 0) return true;
    this.#bytesLeft -= bytes;
    return isEnd ? this.#bytesLeft === 0 : this.#bytesLeft >= 0;
  }

  #takePiece(piece: Buffer): void {
    if (this.#isPaused || this.#held.length > 0) {
      this.#held.push(Buffer.from(piece));
      this.#host.credit.hold(piece.length);
      if (processMemory.isExhausted) this.#fail("ENHANCE_YOUR_CALM", "too much is held for slow readers");
      return;
    }
    this.#owedBytes += piece.length;
    this.#events.onData(this.#events.takesLent === true ? piece : Buffer.from(piece));
  }

  #takeEnd(block: HeaderBlock | null): void {
    if (this.#isPaused || this.#held.length > 0) this.#heldEnd = { block };
    else this.#deliverEnd(block);
  }

  #deliverHeld(): void {
    while (this.#held.length > 0 && !this.#isPaused) {
      const piece = this.#held.shift()!;
      this.#host.credit.release(piece.length);
      this.#owedBytes += piece.length;
      this.#events.onData(piece);
    }
    const end = this.#heldEnd;
    if (end === null || this.#isPaused || this.#isDeaf) return;
    this.#heldEnd = null;
    this.#deliverEnd(end.block);
  }

  #deliverEnd(block: HeaderBlock | null): void {
    this.#isEndDelivered = true;
    if (block === null) this.#events.onEnd();
    else this.#events.onBlock(block, true);
    if (this.#state === "closed") this.#events.onClosed();
  }

  #dropHeld(): void {
    for (const piece of this.#held) this.#host.credit.release(piece.length);
    this.#held = [];
    this.#heldEnd = null;
  }

  /** Stream credit goes back when the other side drains, so a slow reader's peer is slowed, and nobody else's. */
  #returnCredit(): void {
    if (this.#isPaused || this.#isDeaf || this.#hasPeerEnded()) return;
    if (this.#owedBytes < this.#host.credit.streamWindowBytes / 2) return;
    this.#host.output.windowUpdate(this.id, this.#owedBytes);
    this.#receiveWindow += this.#owedBytes;
    this.#owedBytes = 0;
  }

  #fail(code: ErrorName, why: string): void {
    if (this.#isFaulty()) return;
    const wasDeaf = this.#isDeaf;
    this.#isDeaf = true;
    this.#resetCode = code;
    this.#dropHeld();
    // Where nobody listens any more there is nobody to answer.
    if (wasDeaf) this.reset(code);
    else this.#events.onFault(code, why);
  }
}

const EMPTY = Buffer.alloc(0);
const NO_HEADERS: Headers = Object.freeze([]);
const LENGTH_FAULT = "there is more or less DATA than content-length says";
