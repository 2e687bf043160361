import { CardeaError } from "../../core/errors.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Headers } from "../../wire/headers.ts";
import type { HeaderBlock } from "../../wire/hpack-decoder.ts";
import { hasBody } from "../../wire/http1-body.ts";
import type { BodyFraming, ResponseHead } from "../../wire/http1-head.ts";
import { ERROR_CODES, type ErrorName, errorNameOf } from "../../wire/http2-codes.ts";
import { type Asked, readResponseHead } from "../../wire/http2-response-head.ts";
import { readTrailers } from "../../wire/http2-trailers.ts";
import type { AnswerEvents, Detached, RequestFate, UpstreamStream } from "../streams.ts";
import { BodyTail } from "./body-tail.ts";
import type { DetachStream } from "./server-stream.ts";
import type { Http2Stream } from "./stream.ts";
import type { StreamEvents } from "./stream-events.ts";

interface ClientStreamOptions {
  readonly asked: Asked;
  readonly framing: BodyFraming;
  readonly events: AnswerEvents;
  readonly detach: DetachStream;
  /** Whether the connection has been silent since the request was sent, so that it may have died before. */
  readonly wasSilent: () => boolean;
}

/** `head`: an answer's head is awaited. `body`: its body is read. `over`: whole, given up or given away. */
type State = "head" | "body" | "over";

/** One request and its answer towards an upstream. */
export class Http2ClientStream implements UpstreamStream, StreamEvents {
  readonly #stream: Http2Stream;
  readonly #asked: Asked;
  readonly #events: AnswerEvents;
  readonly #detach: DetachStream;
  readonly #wasSilent: () => boolean;
  readonly #tail: BodyTail;
  #state: State = "head";
  #informationals = 0;

  constructor(stream: Http2Stream, options: ClientStreamOptions) {
    this.#stream = stream;
    this.#asked = options.asked;
    this.#events = options.events;
    this.#detach = options.detach;
    this.#wasSilent = options.wasSilent;
    this.#tail = new BodyTail(stream);
    this.#tail.begin(options.framing);
    stream.awaitsAnswer = true;
    stream.setEvents(this);
  }

  sendBody(piece: Buffer): boolean {
    return this.#tail.send(piece);
  }

  sendEnd(trailers: Headers): void {
    this.#tail.end(trailers);
  }

  abort(): void {
    this.#state = "over";
    this.#stream.reset("CANCEL");
  }

  pauseAnswer(): void {
    this.#stream.pause();
  }

  resumeAnswer(): void {
    this.#stream.resume();
  }

  detach(): Detached {
    this.#state = "over";
    return this.#detach(this.#stream);
  }

  onBlock(block: HeaderBlock, isEnd: boolean): void {
    if (this.#state === "over") return;
    if (block.at !== "fields") this.#refuse(block.at === "malformed" ? block.why : "an answer's head is too long");
    else if (this.#state === "head") this.#takeHead(block, isEnd);
    else if (isEnd) this.#takeTrailers(block.fields);
    else this.#refuse("a second header block does not end its stream");
  }

  onData(piece: Buffer): void {
    if (this.#state === "body") this.#events.onAnswerBody(piece);
    else if (this.#state === "head") this.#refuse("DATA came before the answer's head");
  }

  onEnd(): void {
    if (this.#state === "body") this.#end(NO_TRAILERS);
    else if (this.#state === "head") this.#refuse("the stream ended before the answer's head");
  }

  onDrain(): void {
    if (this.#state !== "over") this.#events.onUpstreamDrain();
  }

  onReset(code: number): void {
    const isRefused = code === ERROR_CODES.REFUSED_STREAM && this.#state === "head";
    const meaning = code === ERROR_CODES.CANCEL ? "upstream-cancelled" : "upstream-reset";
    this.#fail(
      new CardeaError(meaning, `the upstream reset the stream (${errorNameOf(code)})`),
      isRefused ? "unprocessed" : "unknown",
    );
  }

  onFault(code: ErrorName, why: string): void {
    this.#stream.reset(code);
    this.#fail(
      new CardeaError(code === "ENHANCE_YOUR_CALM" ? "overloaded" : "upstream-protocol-error", why),
      "unknown",
    );
  }

  onLost(error: CardeaError, isUnprocessed: boolean): void {
    const mayHaveDiedBefore = error.code === "upstream-reset" && this.#wasSilent();
    if (this.#state !== "head") this.#fail(error, "unknown");
    else this.#fail(error, isUnprocessed ? "unprocessed" : mayHaveDiedBefore ? "stale" : "unknown");
  }

  onClosed(): void {}

  onStill(stillMs: number, isStarved: boolean): void {
    if (!isStarved || stillMs < LIMITS.http2WindowStallMs) return;
    this.#stream.reset("CANCEL");
    this.#fail(new CardeaError("upstream-timeout", "the upstream takes nothing of the request"), "unknown");
  }

  #takeHead(block: Extract<HeaderBlock, { at: "fields" }>, isEnd: boolean): void {
    const reading = readResponseHead(block, isEnd, this.#asked);
    if (reading.at === "refused") this.#refuse(reading.error.message);
    else if (reading.head.status >= 200 || reading.head.status === 101) this.#beginAnswer(reading.head, isEnd);
    else if (++this.#informationals > LIMITS.informationalMax) this.#refuse("informational answers come without end");
    else this.#events.onInformational(reading.head);
  }

  #beginAnswer(head: ResponseHead, isEnd: boolean): void {
    this.#state = "body";
    if (this.#isTunnel(head)) {
      // What comes now is the other protocol's, and waits for whoever takes the stream over.
      this.#stream.pause();
      if (isEnd) this.#stream.holdEnd();
      this.#events.onAnswer(head);
      return;
    }
    if (head.framing.kind === "length") this.#stream.expectBytes(head.framing.bytes);
    else if (!hasBody(head.framing)) this.#stream.expectBytes(0);
    this.#events.onAnswer(head);
    if (isEnd) this.#end(NO_TRAILERS);
  }

  #isTunnel({ status, upgrade }: ResponseHead): boolean {
    return upgrade !== null || (this.#asked.method === "CONNECT" && status < 300);
  }

  #takeTrailers(fields: readonly string[]): void {
    const reading = readTrailers(fields);
    if (reading.at === "malformed") this.#refuse(reading.why);
    else this.#end(reading.trailers);
  }

  #end(trailers: Headers): void {
    if (this.#state !== "body") return;
    this.#state = "over";
    // What we have not sent of the request nobody waits for any more.
    this.#stream.reset("CANCEL");
    this.#events.onAnswerEnd(trailers);
  }

  #refuse(why: string): void {
    this.#stream.takeFault("PROTOCOL_ERROR", why);
  }

  #fail(error: CardeaError, fate: RequestFate): void {
    if (this.#state === "over") return;
    this.#state = "over";
    this.#events.onUpstreamFailure(error, fate);
  }
}

const NO_TRAILERS: Headers = Object.freeze([]);
