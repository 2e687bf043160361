import { type CardeaError, ERROR_TABLE } from "../../core/errors.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Clock, Timer } from "../../core/ports.ts";
import { encodeGrpcMessage, GrpcMessageReader } from "../../wire/grpc-message.ts";
import { decodeGrpcMessage, formatGrpcTimeout, GRPC, type GrpcStatus, grpcCodeOfHttp } from "../../wire/grpc-status.ts";
import { type Headers, headerValues } from "../../wire/headers.ts";
import { CHUNKED, type ResponseHead } from "../../wire/http1-message.ts";
import { grpcStatusIn, isGrpcType } from "../grpc.ts";
import type { AnswerEvents, Channel, UpstreamStream } from "../streams.ts";

/** One call under way: messages out; messages and the end come as events. */
export interface GrpcCall {
  /** One message, in as many pieces as it lies in. */
  send(...message: readonly Buffer[]): void;
  /** No more messages follow. */
  sendEnd(): void;
  /** Gives the call up; no more events come. */
  cancel(): void;
}

export interface GrpcCallOptions {
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly authority: string;
  /** Field lines in addition to gRPC's own. */
  readonly metadata: Headers;
  /** The call ends then, whatever has come; null: it lasts as long as it does. */
  readonly timeoutMs: number | null;
  readonly clock: Clock;
}

export interface GrpcCallEvents {
  /** The callee owns the bytes. */
  onMessage(message: Buffer): void;
  /** Called once, last. */
  onEnd(status: GrpcStatus): void;
}

/**
 * Begins a call over a channel that has room for it. Messages are not compressed either way, and what is sent waits
 * without bound for a slow peer: a sidecar says little. grpc/grpc doc/PROTOCOL-HTTP2.md.
 */
export function beginGrpcCall(channel: Channel, options: GrpcCallOptions, events: GrpcCallEvents): GrpcCall {
  return new ClientCall(channel, options, events);
}

class ClientCall implements GrpcCall, AnswerEvents {
  readonly #events: GrpcCallEvents;
  readonly #stream: UpstreamStream;
  readonly #reader = new GrpcMessageReader(LIMITS.discoveryMessageBytesMax);
  readonly #deadline: Timer | null;
  #head: ResponseHead | null = null;
  #isOver = false;

  constructor(
    channel: Channel,
    { path, authority, metadata, timeoutMs, clock }: GrpcCallOptions,
    events: GrpcCallEvents,
  ) {
    this.#events = events;
    const timeout = timeoutMs === null ? [] : ["grpc-timeout", formatGrpcTimeout(timeoutMs)];
    const headers = ["host", authority, "content-type", "application/grpc+proto", ...timeout, ...metadata];
    const request = { method: "POST", target: path, headers, framing: CHUNKED, upgrade: null, takesTrailers: true };
    this.#stream = channel.send(request, this);
    this.#deadline = timeoutMs === null ? null : clock.setTimer(timeoutMs, () => this.#giveUp(TOO_LATE));
  }

  send(...[first = EMPTY, ...rest]: readonly Buffer[]): void {
    if (this.#isOver) return;
    const restBytes = rest.reduce((sum, piece) => sum + piece.length, 0);
    this.#stream.sendBody(encodeGrpcMessage(first, restBytes));
    for (const piece of rest) this.#stream.sendBody(piece);
  }

  sendEnd(): void {
    if (!this.#isOver) this.#stream.sendEnd([]);
  }

  cancel(): void {
    if (this.#isOver) return;
    this.#settle();
    this.#stream.abort();
  }

  onInformational(): void {}

  onAnswer(head: ResponseHead): void {
    if (this.#isOver) return;
    this.#head = head;
    const fault = faultOf(head);
    if (fault !== null) this.#giveUp(statusIn(head.headers) ?? fault);
  }

  onAnswerBody(piece: Buffer): void {
    this.#reader.feed(piece);
    // Whoever takes a message may end the call.
    while (!this.#isOver) {
      const reading = this.#reader.next();
      if (reading.at === "part") return;
      if (reading.at === "message") this.#events.onMessage(reading.message);
      else this.#giveUp(reading.status);
    }
  }

  onAnswerEnd(trailers: Headers): void {
    if (this.#isOver) return;
    // Without any message the head may be trailers as well.
    const status = statusIn(trailers) ?? statusIn(this.#head?.headers ?? []) ?? NO_STATUS;
    this.#end(status.code === GRPC.OK && this.#reader.isWithinMessage ? CUT_SHORT : status);
  }

  onUpstreamDrain(): void {}

  onUpstreamFailure(error: CardeaError): void {
    if (!this.#isOver) this.#end({ code: ERROR_TABLE[error.code].grpcStatus, message: error.message });
  }

  #giveUp(status: GrpcStatus): void {
    this.#settle();
    this.#stream.abort();
    this.#events.onEnd(status);
  }

  #end(status: GrpcStatus): void {
    this.#settle();
    this.#events.onEnd(status);
  }

  #settle(): void {
    this.#isOver = true;
    this.#deadline?.cancel();
  }
}

/** Why an answer cannot be one to a call of ours, or null. */
function faultOf({ status, headers }: ResponseHead): GrpcStatus | null {
  if (status !== 200) return { code: grpcCodeOfHttp(status), message: `the answer has HTTP status ${status}` };
  const type = headerValues(headers, "content-type")[0] ?? "";
  if (!isGrpcType(type)) return { code: GRPC.UNKNOWN, message: `the answer is ${JSON.stringify(type)}, not gRPC` };
  const encoding = headerValues(headers, "grpc-encoding")[0] ?? "identity";
  if (encoding === "identity") return null;
  return { code: GRPC.INTERNAL, message: `the answer is compressed (${encoding}), which nobody asked for` };
}

function statusIn(headers: Headers): GrpcStatus | null {
  const code = grpcStatusIn(headers);
  if (code === null) return null;
  return { code, message: decodeGrpcMessage(headerValues(headers, "grpc-message")[0] ?? "") };
}

const EMPTY = Buffer.alloc(0);
const TOO_LATE: GrpcStatus = { code: GRPC.DEADLINE_EXCEEDED, message: "the time for the call is over" };
const NO_STATUS: GrpcStatus = { code: GRPC.UNKNOWN, message: "the answer ended without a status" };
const CUT_SHORT: GrpcStatus = { code: GRPC.INTERNAL, message: "the answer ended within a message" };
