import { type CardeaError, ERROR_TABLE, toCardeaError } from "../../core/errors.ts";
import { encodeGrpcMessage, GrpcMessageReader } from "../../wire/grpc-message.ts";
import { encodeStatusMessage, GRPC, type GrpcStatus } from "../../wire/grpc-status.ts";
import { type Headers, headerValues } from "../../wire/headers.ts";
import { hasBody } from "../../wire/http1-body.ts";
import type { RequestHead } from "../../wire/http1-head.ts";
import { CHUNKED } from "../../wire/http1-message.ts";
import { isGrpcCall } from "../grpc.ts";
import type { DownstreamStream, RequestEvents, RequestHandler } from "../streams.ts";

/** One call that we serve. */
export interface ServedCall {
  readonly metadata: Headers;
  /** False: the caller reads slowly; wait for `onDrain`. */
  send(message: Buffer): boolean;
  /** Nothing may follow. */
  end(status: GrpcStatus): void;
  /** Ends it with the status of what was thrown. */
  fail(thrown: unknown): void;
}

/** What happens in a call. Whatever a method throws ends it, with the error's status. */
export interface ServedEvents {
  /** The callee owns the bytes. */
  onMessage(message: Buffer): void;
  /** No more messages come. */
  onRequestEnd(): void;
  onDrain(): void;
  /** The call is over, whoever ended it. Called once, last. */
  onOver(): void;
}

/** Begins a call of one method. May end it before it returns. */
export type ServedMethod = (call: ServedCall) => ServedEvents;

/** For a method that has ended its call before it returns. */
export const NOTHING: ServedEvents = Object.freeze({ onMessage() {}, onRequestEnd() {}, onDrain() {}, onOver() {} });

export interface ServedCallsOptions {
  /** By path, `/package.Service/Method`. */
  readonly methods: ReadonlyMap<string, ServedMethod>;
  /** A request message of more octets ends its call. */
  readonly messageBytesMax: number;
}

/**
 * A gRPC server over one connection of ours: requests become calls of a table of methods. Nothing is compressed; a caller
 * that compresses is told so. grpc/grpc doc/PROTOCOL-HTTP2.md.
 */
export class ServedCalls implements RequestHandler {
  readonly #options: ServedCallsOptions;

  constructor(options: ServedCallsOptions) {
    this.#options = options;
  }

  begin(head: RequestHead, stream: DownstreamStream): RequestEvents {
    if (!isGrpcCall(head)) {
      stream.sendAnswer({ status: 415, reason: "", headers: [], framing: { kind: "length", bytes: 0 }, isLast: false });
      stream.sendEnd([]);
      return IGNORED;
    }
    const call = new Call(head.headers, stream, this.#options.messageBytesMax);
    const method = this.#options.methods.get(head.path);
    const encoding = headerValues(head.headers, "grpc-encoding")[0] ?? "identity";
    if (method === undefined) call.end(unimplemented(`there is no method ${head.path.slice(0, 200)}`));
    else if (encoding !== "identity") call.end(unimplemented(`messages compressed by ${encoding} are not taken`));
    else call.serve(method);
    // A request without a body ends with its head, and is not told of again.
    if (!hasBody(head.framing)) call.onRequestEnd();
    return call;
  }

  refuse(error: CardeaError, stream: DownstreamStream): void {
    new Call([], stream, 0).end(statusOf(error));
  }
}

class Call implements ServedCall, RequestEvents {
  readonly metadata: Headers;
  readonly #stream: DownstreamStream;
  readonly #reader: GrpcMessageReader;
  #events: ServedEvents | null = null;
  #hasHead = false;
  #isOver = false;

  constructor(metadata: Headers, stream: DownstreamStream, messageBytesMax: number) {
    this.metadata = metadata;
    this.#stream = stream;
    this.#reader = new GrpcMessageReader(messageBytesMax);
  }

  serve(method: ServedMethod): void {
    this.#guard(() => {
      const events = method(this);
      // One that is over already has nothing to be told but that.
      if (this.#isOver) events.onOver();
      else this.#events = events;
    });
  }

  send(message: Buffer): boolean {
    if (this.#isOver) return true;
    if (!this.#hasHead) this.#sendHead();
    return this.#stream.sendBody(encodeGrpcMessage(message));
  }

  end({ code, message }: GrpcStatus): void {
    if (this.#isOver) return;
    const status = [
      "grpc-status",
      `${code}`,
      ...(message === "" ? [] : ["grpc-message", encodeStatusMessage(message)]),
    ];
    if (this.#hasHead) this.#stream.sendEnd(status);
    else {
      // Without a message the head is the trailers as well ("Trailers-Only").
      const headers = ["content-type", "application/grpc", ...status];
      this.#stream.sendAnswer({ ...ANSWER, headers, framing: { kind: "length", bytes: 0 } });
      this.#stream.sendEnd([]);
    }
    this.#settle();
  }

  fail(thrown: unknown): void {
    this.end(statusOf(toCardeaError(thrown)));
  }

  onRequestBody(piece: Buffer): void {
    if (this.#isOver) return;
    this.#reader.feed(piece);
    // Whoever takes a message may end the call.
    while (!this.#isOver) {
      const reading = this.#reader.next();
      if (reading.at === "part") return;
      if (reading.at === "message") this.#guard(() => this.#events!.onMessage(reading.message));
      else this.end(reading.status);
    }
  }

  onRequestEnd(): void {
    if (this.#isOver) return;
    if (this.#reader.isWithinMessage) this.end(CUT_SHORT);
    else this.#guard(() => this.#events!.onRequestEnd());
  }

  onDownstreamDrain(): void {
    if (!this.#isOver) this.#guard(() => this.#events!.onDrain());
  }

  onRequestFailure(error: CardeaError): void {
    // A malformed request is still to be answered, and the stream ends with that.
    if (ERROR_TABLE[error.code].httpStatus === 400) this.end(statusOf(error));
    this.#settle();
  }

  mayHoldEarlyData(): boolean {
    return false;
  }

  /** A stream that waits for the next rotation is as it should be; HTTP/2 asks by PING whether the caller is there. */
  onStalled(): void {}

  #sendHead(): void {
    this.#hasHead = true;
    this.#stream.sendAnswer({ ...ANSWER, headers: ["content-type", "application/grpc"], framing: CHUNKED });
  }

  #guard(work: () => void): void {
    try {
      work();
    } catch (thrown) {
      this.fail(thrown);
    }
  }

  #settle(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const events = this.#events;
    this.#events = null;
    events?.onOver();
  }
}

const ANSWER = { status: 200, reason: "OK", isLast: false } as const;

const CUT_SHORT: GrpcStatus = { code: GRPC.INTERNAL, message: "the request ended within a message" };

function unimplemented(message: string): GrpcStatus {
  return { code: GRPC.UNIMPLEMENTED, message };
}

/** What a caller learns of an error; a fault of ours is nobody's business. */
function statusOf({ code, message }: CardeaError): GrpcStatus {
  return { code: ERROR_TABLE[code].grpcStatus, message: code === "internal" ? ERROR_TABLE[code].meaning : message };
}

/** Of a request that was answered as it began. */
const IGNORED: RequestEvents = {
  onRequestBody() {},
  onRequestEnd() {},
  onDownstreamDrain() {},
  onRequestFailure() {},
  mayHoldEarlyData: () => false,
  onStalled() {},
};
