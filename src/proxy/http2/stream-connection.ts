import { CardeaError } from "../../core/errors.ts";
import type { Address, Connection, ConnectionHandlers } from "../../core/ports.ts";
import { type ErrorName, errorNameOf } from "../../wire/http2-codes.ts";
import type { Http2Stream } from "./stream.ts";
import type { StreamEvents } from "./stream-events.ts";

interface StreamConnectionOptions {
  /** Of the connection that the stream is on. */
  readonly local: Address;
  readonly remote: Address;
  /** Whom it leads to; decides the code of its errors. */
  readonly side: "downstream" | "upstream";
}

/**
 * A stream as a connection of its own, for what is carried in an (extended) CONNECT: WebSocket by RFC 8441, TCP by
 * HBONE. END_STREAM is its half-close. Begins paused, as a stream does that waits for its answer. RFC 9113 section 8.5.
 */
export class Http2StreamConnection implements Connection, StreamEvents {
  readonly local: Address;
  readonly remote: Address;
  bytesReceived = 0;
  bytesSent = 0;
  readonly #stream: Http2Stream;
  readonly #side: "downstream" | "upstream";
  #handlers: ConnectionHandlers | null = null;
  #isClosed = false;
  #error: CardeaError | undefined;

  constructor(stream: Http2Stream, { local, remote, side }: StreamConnectionOptions) {
    this.local = local;
    this.remote = remote;
    this.#stream = stream;
    this.#side = side;
    stream.setEvents(this);
  }

  get takesLent(): boolean {
    return this.#handlers?.takesLent === true;
  }

  get unsentBytes(): number {
    return this.#stream.queuedBytes;
  }

  setHandlers(handlers: ConnectionHandlers): void {
    const isFirst = this.#handlers === null;
    this.#handlers = handlers;
    if (isFirst && this.#isClosed) queueMicrotask(() => this.#handlers!.onClose(this.#error));
  }

  write(chunk: Buffer): boolean {
    if (this.#isClosed) return true;
    this.bytesSent += chunk.length;
    return this.#stream.sendData(chunk);
  }

  end(): void {
    this.#stream.sendEnd([]);
  }

  destroy(): void {
    if (this.#isClosed) return;
    // CONNECT_ERROR is what a reset of TCP becomes; a cut must never read as an end. RFC 9113 section 8.5.
    this.#stream.reset("CONNECT_ERROR");
    this.#close(undefined);
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  onBlock(): void {
    // Trailers mean nothing in a tunnel, but they end it.
    this.onEnd();
  }

  onData(piece: Buffer): void {
    this.bytesReceived += piece.length;
    this.#handlers?.onData(piece);
  }

  onEnd(): void {
    this.#handlers?.onEnd();
  }

  onDrain(): void {
    this.#handlers?.onDrain();
  }

  onReset(code: number): void {
    this.#close(new CardeaError(`${this.#side}-reset`, `the peer reset the stream (${errorNameOf(code)})`));
  }

  onFault(code: ErrorName, why: string): void {
    this.#stream.reset(code);
    this.#close(new CardeaError(`${this.#side}-reset`, why));
  }

  onLost(error: CardeaError): void {
    this.#close(error);
  }

  onClosed(): void {
    this.#close(undefined);
  }

  onStill(): void {
    // A tunnel has time limits of its own.
  }

  /** Later, as with every connection: whoever destroys it is not called back within the call. */
  #close(error: CardeaError | undefined): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#error = error;
    if (this.#handlers !== null) queueMicrotask(() => this.#handlers!.onClose(error));
  }
}
