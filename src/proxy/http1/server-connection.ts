import { CardeaError, toCardeaError } from "../../core/errors.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Clock, Connection, ConnectionHandlers } from "../../core/ports.ts";
import type { Headers } from "../../wire/headers.ts";
import { type BodyReader, createBodyReader, encodeChunk, encodeLastChunk, hasBody } from "../../wire/http1-body.ts";
import { type RequestHead, serializeResponseHead } from "../../wire/http1-head.ts";
import { RequestHeadReader } from "../../wire/http1-head-reader.ts";
import type { Lifetime } from "../lifetime.ts";
import { type LiveConnection, type LiveConnections, type Moment, Stillness } from "../live.ts";
import type {
  Answer,
  Detached,
  DownstreamStream,
  InformationalAnswer,
  RequestEvents,
  RequestHandler,
} from "../streams.ts";
import { frameAnswer } from "./answer-framing.ts";
import { canDiscardBody, Leaving } from "./leaving.ts";

export interface ServerOptions {
  readonly handler: RequestHandler;
  readonly live: LiveConnections;
  readonly clock: Clock;
  readonly lifetime: Lifetime;
  /** Called once, when the connection is closed or given away. */
  readonly onGone?: () => void;
}

/**
 * Where a caller's connection stands. `idle`: between two requests, perhaps with a part of a head. `busy`: a request
 * is under way. `discarding`: it is answered, the rest of its body is read to get at the next. `lingering`: the last
 * answer is sent, what still comes is thrown away. `gone`: closed or given away.
 */
type State = "idle" | "busy" | "discarding" | "lingering" | "gone";

/**
 * HTTP/1.1 towards a caller. Pipelined requests wait until the one before them is answered, so answers are in order
 * and no more than one request is under way. RFC 9112 section 9.3.2.
 */
export class Http1ServerConnection implements DownstreamStream, ConnectionHandlers, LiveConnection {
  readonly #connection: Connection;
  readonly #handler: RequestHandler;
  readonly #live: LiveConnections;
  readonly #clock: Clock;
  readonly #lifetime: Lifetime;
  readonly #onGone: (() => void) | undefined;
  readonly #reader = new RequestHeadReader();
  readonly #stillness = new Stillness();
  #state: State = "idle";
  #head: RequestHead | null = null;
  #events: RequestEvents | null = null;
  /** Null: the request's body is read whole. */
  #body: BodyReader | null = null;
  /** Bytes behind the request that is under way. */
  #held: Buffer | null = null;
  /** Bytes behind the head that is being decided. */
  #rest: Buffer | null = null;
  #isBodyPaused = false;
  #isPaused = false;
  #sendsChunks = false;
  #isLastAnswer = false;
  #isDraining = false;
  #hasEnded = false;
  /** When the first byte of an unfinished head came. */
  #headSinceMs = 0;
  readonly #leaving = new Leaving();

  constructor(connection: Connection, options: ServerOptions) {
    this.#connection = connection;
    this.#handler = options.handler;
    this.#live = options.live;
    this.#clock = options.clock;
    this.#lifetime = options.lifetime;
    this.#onGone = options.onGone;
    this.#live.add(this);
    connection.setHandlers(this);
  }

  sendInformational(answer: InformationalAnswer): void {
    if (this.#head?.minorVersion === 1) this.#connection.write(serializeResponseHead(answer));
  }

  sendAnswer(answer: Answer): void {
    const { status, reason, headers } = answer;
    const isLast =
      answer.isLast ||
      this.#isDraining ||
      (this.#hasEnded && this.#held === null) ||
      this.#head === null ||
      !this.#head.isKeepAlive ||
      // Said now, for the answer may be over before the request is: a closing that is not said costs whoever is next.
      (this.#body !== null && !canDiscardBody(this.#head));
    const framing = frameAnswer(answer, this.#head, isLast);
    this.#isLastAnswer = framing.isLast;
    this.#sendsChunks = framing.sendsChunks;
    this.#connection.write(serializeResponseHead({ status, reason, headers }));
  }

  sendBody(piece: Buffer): boolean {
    return this.#connection.write(this.#sendsChunks ? encodeChunk([piece]) : piece);
  }

  sendEnd(trailers: Headers): void {
    if (this.#state === "gone") return;
    if (this.#sendsChunks) this.#connection.write(encodeLastChunk(trailers));
    this.#events = null;
    if (this.#isLastAnswer) this.#linger();
    else if (this.#body !== null) {
      this.#state = "discarding";
      this.#leaving.begin();
      this.resumeBody();
    } else this.#becomeIdle();
  }

  abort(): void {
    this.#events = null;
    this.#leave();
    this.#connection.destroy({ reset: true });
  }

  pauseBody(): void {
    this.#isBodyPaused = true;
    this.#applyPause();
  }

  resumeBody(): void {
    this.#isBodyPaused = false;
    this.#applyPause();
  }

  detach(): Detached {
    // Given away while its head was looked at, it takes what came behind the head with it.
    const early = this.#held ?? (this.#rest === null || this.#rest.length === 0 ? null : this.#rest);
    this.#held = null;
    this.#rest = null;
    this.#events = null;
    this.#leave();
    return { connection: this.#connection, early, lifetime: this.#lifetime };
  }

  onData(chunk: Buffer): void {
    try {
      this.#consume(chunk);
    } catch (thrown) {
      // A fault of ours ends this connection and no other.
      this.endNow(toCardeaError(thrown));
    }
  }

  onEnd(): void {
    this.#hasEnded = true;
    if (this.#state === "busy" && this.#body !== null) this.#takeBody(this.#body.finish());
    else if (this.#state === "idle" && this.#reader.heldBytes > 0) {
      this.#refuse(new CardeaError("bad-request", "the connection ended within a request's head"));
    } else if (this.#state === "idle" || this.#state === "discarding") this.#linger();
    // Otherwise the caller has only half-closed: it still waits for its answer.
  }

  onDrain(): void {
    this.#events?.onDownstreamDrain();
  }

  onClose(error: CardeaError | undefined): void {
    const events = this.#events;
    this.#events = null;
    this.#leave();
    events?.onRequestFailure(error ?? new CardeaError("downstream-reset", "the caller closed the connection"));
  }

  onTick(now: Moment): void {
    if (now.wallMs >= this.#lifetime.endsAtMs) {
      this.endNow(new CardeaError("certificate-ended", "the certificates of the caller's connection have ended"));
      return;
    }
    if (now.wallMs >= this.#lifetime.retiresAtMs) this.drain();
    const { bytesReceived, bytesSent, unsentBytes } = this.#connection;
    const stillMs = this.#stillness.measureMs(bytesReceived + bytesSent - unsentBytes, now.monotonicMs);
    switch (this.#state) {
      case "idle":
        this.#checkIdle(stillMs, now.monotonicMs);
        break;
      case "busy":
        if (stillMs >= LIMITS.streamIdleMs) this.#events?.onStalled();
        break;
      case "discarding":
        if (this.#leaving.hasTaken(LIMITS.headTimeoutMs, now.monotonicMs)) this.#drop();
        break;
      case "lingering":
        // A slow reader may take its time over the answer; from there on the time is short.
        if (
          unsentBytes === 0 ? this.#leaving.hasTaken(LIMITS.lingerMs, now.monotonicMs) : stillMs >= LIMITS.streamIdleMs
        )
          this.#drop();
        break;
      case "gone":
        break;
    }
  }

  drain(): void {
    this.#isDraining = true;
    if (this.#state === "idle" && this.#reader.heldBytes === 0) this.#linger();
  }

  endNow(error: CardeaError): void {
    const events = this.#events;
    this.#events = null;
    this.#leave();
    events?.onRequestFailure(error);
    this.#connection.destroy({ reset: events !== null });
  }

  /** A loop rather than recursion: a chunk may hold many requests that are answered at once. */
  #consume(chunk: Buffer): void {
    let input: Buffer | null = chunk;
    while (input !== null && input.length > 0) input = this.#step(input);
  }

  /** Takes what it can of the input and returns the rest, or null when there is no more use for it now. */
  #step(input: Buffer): Buffer | null {
    switch (this.#state) {
      case "idle":
        return this.#takeHead(input);
      case "busy":
        return this.#body === null ? this.#hold(input) : this.#takeBody(this.#body.feed(input));
      case "discarding":
        return this.#takeBody(this.#body!.feed(input));
      case "lingering":
        if (!this.#leaving.discard(input.length)) this.#drop();
        return null;
      case "gone":
        return null;
    }
  }

  #takeHead(input: Buffer): Buffer | null {
    const wasEmpty = this.#reader.heldBytes === 0;
    const reading = this.#reader.feed(input);
    switch (reading.at) {
      case "incomplete":
        if (wasEmpty) this.#headSinceMs = this.#clock.monotonicMs();
        return null;
      case "refused":
        this.#refuse(reading.error);
        return null;
      case "head":
        return this.#begin(reading.head, reading.rest);
    }
  }

  /** Returns what is left to be read after the head. */
  #begin(head: RequestHead, rest: Buffer): Buffer | null {
    this.#state = "busy";
    this.#head = head;
    this.#stillness.reset();
    this.#body = hasBody(head.framing) ? createBodyReader(head.framing, "request") : null;
    this.#rest = rest;
    const events = this.#handler.begin(head, this);
    // It may be answered already, and an answer to its last request gives a connection up.
    if (this.#state === "busy" && this.#head === head) this.#events = events;
    const hasLeft = this.#rest === null;
    this.#rest = null;
    return hasLeft ? null : rest;
  }

  #takeBody(reading: ReturnType<BodyReader["feed"]>): Buffer | null {
    if (reading.at === "refused") {
      this.#failRequest(reading.error);
      return null;
    }
    for (const piece of reading.pieces) this.#events?.onRequestBody(piece);
    if (reading.at === "more") return null;
    this.#body = null;
    if (this.#state === "discarding") this.#becomeIdle();
    else this.#events?.onRequestEnd(reading.trailers);
    return reading.rest;
  }

  #failRequest(error: CardeaError): void {
    const events = this.#events;
    if (this.#state !== "busy" || events === null) {
      this.#linger();
      return;
    }
    events.onRequestFailure(error);
    // Where there was nobody left to answer.
    if (this.#events === events) this.abort();
  }

  /** A pipelined request, or data for a protocol that has not been switched to. */
  #hold(input: Buffer): null {
    if (this.#head?.upgrade !== null && this.#events?.mayHoldEarlyData() === false) {
      this.#failRequest(new CardeaError("bad-request", "data for the upgraded protocol came before the answer"));
      return null;
    }
    this.#held = this.#held === null ? input : Buffer.concat([this.#held, input]);
    this.#applyPause();
    return null;
  }

  #becomeIdle(): void {
    this.#state = "idle";
    this.#head = null;
    this.#isBodyPaused = false;
    this.#stillness.reset();
    const held = this.#held;
    this.#held = null;
    this.#applyPause();
    // Requests that came before the caller half-closed are still to be answered.
    if (held !== null && !this.#isDraining) this.#consume(held);
    else if (this.#isDraining) this.#linger();
    if (this.#hasEnded && this.#state === "idle") this.onEnd();
  }

  #applyPause(): void {
    const isPaused = this.#isBodyPaused || this.#held !== null;
    if (isPaused === this.#isPaused) return;
    this.#isPaused = isPaused;
    if (isPaused) this.#connection.pause();
    else this.#connection.resume();
  }

  #checkIdle(stillMs: number, nowMs: number): void {
    if (this.#reader.heldBytes === 0) {
      if (stillMs >= LIMITS.keepAliveIdleMs) this.#linger();
    } else if (nowMs - this.#headSinceMs >= LIMITS.headTimeoutMs) {
      this.#refuse(new CardeaError("request-timeout", "the request's head did not come whole in time"));
    }
  }

  /** A request that could not be read: what follows on the connection means nothing any more. */
  #refuse(error: CardeaError): void {
    this.#state = "busy";
    this.#head = null;
    this.#handler.refuse(error, this, false);
  }

  /**
   * Half-close, then read out what the caller still sends: a connection that is closed with unread data is reset, and
   * a reset can destroy the answer on its way. RFC 9112 section 9.6.
   */
  #linger(): void {
    if (this.#state === "gone") return;
    this.#state = "lingering";
    this.#leaving.begin();
    this.#events = null;
    this.#held = null;
    this.#isBodyPaused = false;
    this.#stillness.reset();
    this.#applyPause();
    this.#connection.end();
  }

  #drop(): void {
    this.#leave();
    this.#connection.destroy();
  }

  #leave(): void {
    if (this.#state === "gone") return;
    this.#state = "gone";
    this.#live.delete(this);
    this.#onGone?.();
  }
}
