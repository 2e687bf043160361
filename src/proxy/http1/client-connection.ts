import { CardeaError, toCardeaError } from "../../core/errors.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Connection, ConnectionHandlers } from "../../core/ports.ts";
import type { FlowTls } from "../../observe/flow.ts";
import type { Headers } from "../../wire/headers.ts";
import { type BodyReader, createBodyReader, encodeChunk, encodeLastChunk, hasBody } from "../../wire/http1-body.ts";
import { type ResponseHead, serializeRequestHead } from "../../wire/http1-head.ts";
import { ResponseHeadReader } from "../../wire/http1-head-reader.ts";
import type { Lifetime } from "../lifetime.ts";
import { type LiveConnection, type LiveConnections, type Moment, Stillness } from "../live.ts";
import type { AnswerEvents, Channel, Detached, OutgoingRequest, UpstreamStream } from "../streams.ts";

/** How long and for how much a connection is used. */
export interface ChannelSettings {
  readonly idleMs: number;
  readonly requestsPerConnectionMax: number;
  readonly streamsMax: number;
}

/** Who lends the connection out. */
export interface ChannelOwner {
  /** It can take another request. */
  onFree(channel: Channel): void;
  /** The upstream has said what it takes: `upgrades` is known. Called once, and by HTTP/2 alone. */
  onKnown(channel: Channel): void;
  /** It will not be free again. Called once. */
  onGone(channel: Channel): void;
}

export interface ClientOptions {
  readonly owner: ChannelOwner;
  readonly live: LiveConnections;
  readonly lifetime: Lifetime;
  readonly tls: FlowTls;
  /** What a traffic rule says of the connection; null: nothing. */
  readonly settings?: ChannelSettings | null;
}

/**
 * Where a connection to an upstream stands. `idle`: no request. `head`: an answer's head is awaited. `body`: its body
 * is read. `switched`: a 101 came, the rest is not HTTP. `gone`: closed or given away.
 */
type State = "idle" | "head" | "body" | "switched" | "gone";

/** HTTP/1.1 towards an upstream: one request at a time, kept alive in between. RFC 9112. */
export class Http1ClientConnection implements Channel, UpstreamStream, ConnectionHandlers, LiveConnection {
  readonly protocol = "http/1.1";
  readonly isCrowded = false;
  readonly upgrades = "yes";
  readonly tls: FlowTls;
  readonly #connection: Connection;
  readonly #owner: ChannelOwner;
  readonly #live: LiveConnections;
  readonly #lifetime: Lifetime;
  readonly #reader = new ResponseHeadReader();
  readonly #stillness = new Stillness();
  #state: State = "idle";
  #events: AnswerEvents | null = null;
  #body: BodyReader | null = null;
  #method = "";
  #sendsChunks = false;
  #isRequestSent = false;
  #isKeepAlive = true;
  #isRetired = false;
  #isReused = false;
  #isPaused = false;
  readonly #idleMs: number;
  #requestsLeft: number;
  #informationals = 0;
  /** Bytes received before the request in progress, to tell whether its answer has begun. */
  #bytesBefore = 0;
  #early: Buffer | null = null;

  constructor(connection: Connection, options: ClientOptions) {
    this.#connection = connection;
    this.#owner = options.owner;
    this.#live = options.live;
    this.#lifetime = options.lifetime;
    this.tls = options.tls;
    this.#idleMs = options.settings?.idleMs ?? LIMITS.upstreamIdleMs;
    this.#requestsLeft = options.settings?.requestsPerConnectionMax ?? Number.POSITIVE_INFINITY;
    this.#live.add(this);
    connection.setHandlers(this);
  }

  get isFree(): boolean {
    return this.#state === "idle" && !this.#isRetired;
  }

  get requestCount(): number {
    return this.#events === null ? 0 : 1;
  }

  get localPort(): number {
    return this.#connection.local.port;
  }

  send(request: OutgoingRequest, events: AnswerEvents): UpstreamStream {
    const { framing, headers, upgrade, takesTrailers } = request;
    if (framing.kind === "length") headers.push("content-length", `${framing.bytes}`);
    if (framing.kind === "chunked") headers.push("transfer-encoding", "chunked");
    if (upgrade !== null) headers.push("connection", "upgrade", "upgrade", upgrade);
    // It is of this connection, and said to be. RFC 9110 section 10.1.4.
    else if (takesTrailers) headers.push("connection", "te", "te", "trailers");
    const head = serializeRequestHead(request);
    this.#state = "head";
    this.#events = events;
    this.#method = request.method;
    this.#sendsChunks = framing.kind === "chunked";
    this.#isRequestSent = !hasBody(framing);
    this.#informationals = 0;
    this.#bytesBefore = this.#connection.bytesReceived;
    this.#stillness.reset();
    this.#connection.write(head);
    if (--this.#requestsLeft <= 0) this.#isRetired = true;
    return this;
  }

  sendBody(piece: Buffer): boolean {
    return this.#connection.write(this.#sendsChunks ? encodeChunk([piece]) : piece);
  }

  sendEnd(trailers: Headers): void {
    if (this.#sendsChunks) this.#connection.write(encodeLastChunk(trailers));
    this.#isRequestSent = true;
  }

  abort(): void {
    this.#events = null;
    this.#leave();
    // A reset, so that the upstream does not take the part that it has for the whole.
    this.#connection.destroy({ reset: true });
  }

  pauseAnswer(): void {
    this.#isPaused = true;
    this.#connection.pause();
  }

  resumeAnswer(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#connection.resume();
  }

  detach(): Detached {
    const early = this.#early;
    this.#early = null;
    this.#events = null;
    this.#leave();
    return { connection: this.#connection, early, lifetime: this.#lifetime };
  }

  onData(chunk: Buffer): void {
    try {
      let input: Buffer | null = chunk;
      while (input !== null && input.length > 0) input = this.#step(input);
    } catch (thrown) {
      // A fault of ours ends this connection and no other.
      this.#fail(toCardeaError(thrown));
    }
  }

  onEnd(): void {
    if (this.#state === "body") {
      this.#read(this.#body!.finish());
      return;
    }
    this.#fail(new CardeaError("upstream-reset", "the upstream ended the connection"));
  }

  onDrain(): void {
    this.#events?.onUpstreamDrain();
  }

  onClose(error: CardeaError | undefined): void {
    this.#fail(error ?? new CardeaError("upstream-reset", "the upstream closed the connection"));
  }

  onTick(now: Moment): void {
    if (now.wallMs >= this.#lifetime.endsAtMs) {
      this.endNow(new CardeaError("certificate-ended", "the certificates of the upstream connection have ended"));
      return;
    }
    if (now.wallMs >= this.#lifetime.retiresAtMs) this.drain();
    const { bytesReceived, bytesSent } = this.#connection;
    const stillMs = this.#stillness.measureMs(bytesReceived + bytesSent, now.monotonicMs);
    if (this.#state === "idle" && stillMs >= this.#idleMs) this.#close();
  }

  drain(): void {
    this.#isRetired = true;
    if (this.#state === "idle") this.#close();
  }

  endNow(error: CardeaError): void {
    this.#fail(error);
  }

  /** Takes what it can of the input and returns the rest, or null when there is no more use for it. */
  #step(input: Buffer): Buffer | null {
    switch (this.#state) {
      case "head":
        return this.#stepHead(input);
      case "body":
        return this.#read(this.#body!.feed(input));
      case "switched":
        this.#early = this.#early === null ? input : Buffer.concat([this.#early, input]);
        this.#connection.pause();
        return null;
      case "idle":
        // An answer that nobody asked for would be taken for the next request's.
        this.#close();
        return null;
      case "gone":
        return null;
    }
  }

  #stepHead(input: Buffer): Buffer | null {
    const reading = this.#reader.feed(input, this.#method);
    switch (reading.at) {
      case "incomplete":
        return null;
      case "refused":
        this.#fail(reading.error);
        return null;
      case "head":
        return this.#takeHead(reading.head, reading.rest);
    }
  }

  /** Returns what is left to be read after the head. */
  #takeHead(head: ResponseHead, rest: Buffer): Buffer | null {
    if (head.status === 101) {
      // Whoever takes the connection over takes what came behind the head with it.
      this.#early = rest.length === 0 ? null : rest;
      this.#state = "switched";
      this.#events!.onAnswer(head);
      return null;
    }
    if (head.status < 200) {
      if (++this.#informationals > LIMITS.informationalMax) {
        this.#fail(new CardeaError("upstream-protocol-error", "the upstream sends informational answers without end"));
      } else this.#events!.onInformational(head);
      return rest;
    }
    this.#isKeepAlive = head.isKeepAlive;
    this.#state = "body";
    this.#body = hasBody(head.framing) ? createBodyReader(head.framing, "response") : null;
    this.#events!.onAnswer(head);
    if (this.#body === null && this.#state === "body") this.#endAnswer(NO_TRAILERS, rest.length === 0);
    return rest;
  }

  #read(reading: ReturnType<BodyReader["feed"]>): Buffer | null {
    if (reading.at === "refused") {
      this.#fail(reading.error);
      return null;
    }
    for (const piece of reading.pieces) this.#events?.onAnswerBody(piece);
    // Whoever got the pieces may have given the answer up.
    if (reading.at === "more" || this.#state !== "body") return null;
    this.#endAnswer(reading.trailers, reading.rest.length === 0);
    return reading.rest;
  }

  #endAnswer(trailers: Headers, isCleanEnd: boolean): void {
    const events = this.#events;
    this.#events = null;
    this.#body = null;
    this.#state = "idle";
    this.resumeAnswer();
    // With the request's body unfinished the upstream may take the rest of it for another request.
    if (isCleanEnd && this.#isKeepAlive && this.#isRequestSent && !this.#isRetired) {
      this.#isReused = true;
      // First free, then told: the caller's next request may begin before `onAnswerEnd` returns.
      this.#owner.onFree(this);
    } else this.#close();
    events?.onAnswerEnd(trailers);
  }

  /** Ends a connection on which nothing is under way. */
  #close(): void {
    this.#leave();
    this.#connection.destroy();
  }

  #fail(error: CardeaError): void {
    if (this.#state === "gone") return;
    const events = this.#events;
    const isStale = this.#isReused && this.#state === "head" && this.#connection.bytesReceived === this.#bytesBefore;
    this.#events = null;
    this.#leave();
    this.#connection.destroy({ reset: events !== null });
    events?.onUpstreamFailure(error, isStale ? "stale" : "unknown");
  }

  #leave(): void {
    if (this.#state === "gone") return;
    this.#state = "gone";
    this.#live.delete(this);
    this.#owner.onGone(this);
  }
}

const NO_TRAILERS: Headers = Object.freeze([]);
