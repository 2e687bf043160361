import { CardeaError } from "../../core/errors.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Headers } from "../../wire/headers.ts";
import type { HeaderBlock } from "../../wire/hpack-decoder.ts";
import { hasBody } from "../../wire/http1-body.ts";
import type { RequestHead } from "../../wire/http1-head.ts";
import { type ErrorName, errorNameOf } from "../../wire/http2-codes.ts";
import { responsePseudoFields } from "../../wire/http2-response-head.ts";
import { readTrailers } from "../../wire/http2-trailers.ts";
import type { Answer, Detached, DownstreamStream, InformationalAnswer, RequestEvents } from "../streams.ts";
import { BodyTail } from "./body-tail.ts";
import type { FieldLists } from "./output.ts";
import type { Http2Stream } from "./stream.ts";
import type { StreamEvents } from "./stream-events.ts";

/** What a stream needs of its connection when it becomes a tunnel. */
export type DetachStream = (stream: Http2Stream) => Detached;

/** One request and its answer towards a caller. The connection's other streams go on, however this one ends. */
export class Http2ServerStream implements DownstreamStream, StreamEvents {
  readonly #stream: Http2Stream;
  /** Null: it could not be read. */
  readonly #head: RequestHead | null;
  readonly #detach: DetachStream;
  readonly #tail: BodyTail;
  readonly #opensTunnel: boolean;
  #events: RequestEvents | null = null;
  /** The head of an answer without content, of which only its end tells whether trailers follow. */
  #lateHead: FieldLists | null = null;
  #isOver = false;

  constructor(stream: Http2Stream, head: RequestHead | null, detach: DetachStream) {
    this.#stream = stream;
    this.#head = head;
    this.#detach = detach;
    this.#tail = new BodyTail(stream);
    this.#opensTunnel = head !== null && (head.method === "CONNECT" || head.upgrade !== null);
    stream.setEvents(this);
    if (head === null) return;
    // What comes behind the head is the other protocol's; it waits for the answer.
    if (this.#opensTunnel) stream.pause();
    else if (head.framing.kind === "length") stream.expectBytes(head.framing.bytes);
    else if (head.framing.kind === "none") stream.expectBytes(0);
  }

  /** Who gets what happens to the request; it may be answered already. */
  attach(events: RequestEvents): void {
    if (!this.#isOver) this.#events = events;
  }

  // The answer.

  sendInformational({ status, headers }: InformationalAnswer): void {
    this.#stream.sendHeaders({ pseudo: responsePseudoFields(status), headers }, false);
  }

  /** `isLast` is passed over: an answer never ends the neighbours' connection. */
  sendAnswer({ status, headers, framing, neverIndexed = null }: Answer): void {
    if (framing.kind === "length") headers.push("content-length", `${framing.bytes}`);
    // The 101 of HTTP/1.1 is a 200 here. RFC 8441 section 5.
    const pseudo = responsePseudoFields(status === 101 ? 200 : status);
    const isTunnel = this.#opensTunnel && (status === 101 || (status >= 200 && status < 300));
    this.#tail.begin(framing);
    if (!isTunnel && framing.kind === "length" && framing.bytes === 0)
      this.#lateHead = { pseudo, headers, neverIndexed };
    else this.#stream.sendHeaders({ pseudo, headers, neverIndexed }, !isTunnel && !hasBody(framing));
  }

  sendBody(piece: Buffer): boolean {
    return this.#tail.send(piece);
  }

  sendEnd(trailers: Headers): void {
    this.#leave();
    if (this.#lateHead !== null) this.#stream.sendHeaders(this.#lateHead, trailers.length === 0);
    this.#tail.end(trailers);
    this.#stream.stopReading();
  }

  abort(error: CardeaError): void {
    this.#leave();
    this.#stream.reset(error.code === "upstream-cancelled" ? "CANCEL" : "INTERNAL_ERROR");
  }

  pauseBody(): void {
    this.#stream.pause();
  }

  resumeBody(): void {
    if (!this.#opensTunnel) this.#stream.resume();
  }

  detach(): Detached {
    this.#leave();
    return this.#detach(this.#stream);
  }

  // The request.

  onBlock(block: HeaderBlock, isEnd: boolean): void {
    if (!isEnd) this.#refuse("a second header block does not end its stream");
    else if (block.at === "fields") this.#takeTrailers(block.fields);
    else this.#refuse(block.at === "too-large" ? "the trailer section is too long" : "a trailer is malformed");
  }

  onData(piece: Buffer): void {
    this.#events?.onRequestBody(piece);
  }

  onEnd(): void {
    if (this.#head !== null && hasBody(this.#head.framing)) this.#events?.onRequestEnd(NO_TRAILERS);
  }

  onDrain(): void {
    this.#events?.onDownstreamDrain();
  }

  onReset(code: number): void {
    this.#fail(new CardeaError("downstream-reset", `the caller reset the stream (${errorNameOf(code)})`));
  }

  onFault(code: ErrorName, why: string): void {
    const events = this.#events;
    const isOurs = code === "ENHANCE_YOUR_CALM";
    this.#fail(new CardeaError(isOurs ? "overloaded" : "bad-request", why));
    // Where there was nobody left to answer, or no room.
    if (events === null || isOurs) this.#stream.reset(code);
  }

  onLost(error: CardeaError): void {
    this.#fail(error);
  }

  onClosed(): void {}

  onStill(stillMs: number, isStarved: boolean): void {
    if (isStarved && stillMs >= LIMITS.http2WindowStallMs) {
      this.#stream.reset("CANCEL");
      this.#fail(new CardeaError("idle-timeout", "the caller takes nothing of its answer"));
    } else if (stillMs >= LIMITS.streamIdleMs) this.#events?.onStalled();
  }

  #takeTrailers(fields: readonly string[]): void {
    const reading = readTrailers(fields);
    if (reading.at === "malformed") this.#refuse(reading.why);
    else this.#events?.onRequestEnd(reading.trailers);
  }

  #refuse(why: string): void {
    this.#stream.takeFault("PROTOCOL_ERROR", why);
  }

  #fail(error: CardeaError): void {
    const events = this.#events;
    this.#events = null;
    events?.onRequestFailure(error);
  }

  #leave(): void {
    this.#isOver = true;
    this.#events = null;
  }
}

const NO_TRAILERS: Headers = Object.freeze([]);
