import type { CardeaError } from "../core/errors.ts";
import type { Connection } from "../core/ports.ts";
import type { FlowTls } from "../observe/flow.ts";
import type { Headers } from "../wire/headers.ts";
import type { Lifetime } from "./lifetime.ts";
import type { BodyFraming, RequestHead, ResponseHead } from "../wire/http1-head.ts";

// A request crosses two connections. Each protocol folder (http1/, http2/) brings a downstream and an upstream
// half, exchange.ts stands between them and knows no protocol.

export type HttpProtocol = "http/1.1" | "h2";

/** A head on its way back to the caller. The stream may add to `headers`: framing and connection are its own. */
export interface Answer {
  readonly status: number;
  readonly reason: string;
  readonly headers: string[];
  /** How much follows, as the upstream said it; the stream picks the coding. */
  readonly framing: BodyFraming;
  /** The connection ends with this answer. */
  readonly isLast: boolean;
  /** Names that no hop may index, as the upstream said. */
  readonly neverIndexed?: readonly string[] | null;
}

export type InformationalAnswer = Pick<Answer, "status" | "reason" | "headers">;

/** The caller's half of an exchange. */
export interface DownstreamStream {
  /** 1xx other than 101; callers of HTTP/1.0 are spared it. */
  sendInformational(answer: InformationalAnswer): void;
  sendAnswer(answer: Answer): void;
  /** The callee owns the bytes. False: wait for `onDownstreamDrain`. */
  sendBody(piece: Buffer): boolean;
  /** The answer is whole; the stream must not be used any more. */
  sendEnd(trailers: Headers): void;
  /** Cuts the answer off, so that the caller sees that it is not whole; over HTTP/2 also whether it was called off. */
  abort(error: CardeaError): void;
  pauseBody(): void;
  resumeBody(): void;
  /** Gives the connection away after a 101 or a 200 to CONNECT, with the bytes that came behind the head. */
  detach(): Detached;
}

export interface Detached {
  readonly connection: Connection;
  readonly early: Buffer | null;
  readonly lifetime: Lifetime;
  /** The peer's end has been seen already, and is not told again. */
  readonly hasEnded?: boolean;
}

/** What happens to a request on the caller's side. */
export interface RequestEvents {
  /** The callee owns the bytes. */
  onRequestBody(piece: Buffer): void;
  onRequestEnd(trailers: Headers): void;
  onDownstreamDrain(): void;
  /** The request cannot go on: malformed, cut off, stalled, or its connection is gone. Called once at most. */
  onRequestFailure(error: CardeaError): void;
  /** Bytes behind a request that asks for another protocol, before it was answered. True: hold them back. */
  mayHoldEarlyData(): boolean;
  /** Nothing has moved for LIMITS.streamIdleMs. */
  onStalled(): void;
}

/** Takes the requests of one downstream connection. */
export interface RequestHandler {
  /** May answer through `stream` before it returns. */
  begin(head: RequestHead, stream: DownstreamStream): RequestEvents;
  /** A request whose head cannot be read: answers and records it. */
  refuse(error: CardeaError, stream: DownstreamStream, isGrpc: boolean): void;
}

/** A request head for the next hop. The channel may add to `headers`. */
export interface OutgoingRequest {
  readonly method: string;
  readonly target: string;
  readonly headers: string[];
  readonly framing: BodyFraming;
  /** The protocol to switch to, or null. */
  readonly upgrade: string | null;
  /** Whether the caller takes trailers; over HTTP/2 the upstream is told (`te`). */
  readonly takesTrailers: boolean;
  /** Names that no hop may index, as the caller said. */
  readonly neverIndexed?: readonly string[] | null;
}

/** A connection to an upstream that takes requests: one at a time over HTTP/1.1, many over HTTP/2. */
export interface Channel {
  readonly protocol: HttpProtocol;
  /** Whether it may take another request now. */
  readonly isFree: boolean;
  /** New requests had better go elsewhere: the upstream reads slowly, or a long body is under way. */
  readonly isCrowded: boolean;
  /** Under way. */
  readonly requestCount: number;
  /** Whether a request may ask for another protocol; `unknown` until the peer has said. */
  readonly upgrades: "yes" | "no" | "unknown";
  readonly tls: FlowTls;
  readonly localPort: number;
  /** Sends a request head. Events may come as soon as this has returned. */
  send(request: OutgoingRequest, events: AnswerEvents): UpstreamStream;
}

/** The upstream's half of an exchange. */
export interface UpstreamStream {
  /** The callee owns the bytes. False: wait for `onUpstreamDrain`. */
  sendBody(piece: Buffer): boolean;
  sendEnd(trailers: Headers): void;
  /** Gives the request up; no more events come. */
  abort(): void;
  pauseAnswer(): void;
  resumeAnswer(): void;
  /** Gives the connection away after a 101. */
  detach(): Detached;
}

/**
 * What is known of a request that failed before its answer. `unprocessed`: the upstream says that it has not looked at
 * it (RFC 9113 section 8.7). `stale`: the connection had served before and died without a byte of this answer, so it may
 * have been dying already. `unknown`: it may have been served.
 */
export type RequestFate = "unprocessed" | "stale" | "unknown";

/** What happens to a request on the upstream's side. */
export interface AnswerEvents {
  onInformational(head: ResponseHead): void;
  onAnswer(head: ResponseHead): void;
  /** The callee owns the bytes. */
  onAnswerBody(piece: Buffer): void;
  onAnswerEnd(trailers: Headers): void;
  onUpstreamDrain(): void;
  onUpstreamFailure(error: CardeaError, fate: RequestFate): void;
}
