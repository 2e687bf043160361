import { CardeaError } from "../core/errors.ts";
import type { Address, Connection, ConnectionHandlers } from "../core/ports.ts";
import { FirstBytes, type Sight } from "./first-bytes.ts";

/**
 * An opaque connection whose client had said nothing when the wait was over. Should its first bytes be a request after
 * all, they are held back and it ends: policy has not seen the request, and what it says of its sender is not ours.
 * Once that is ruled out, it is the connection itself.
 */
export class WithoutLateRequests implements Connection {
  readonly #connection: Connection;
  readonly #onRequest: (error: CardeaError) => void;

  constructor(connection: Connection, onRequest: (error: CardeaError) => void) {
    this.#connection = connection;
    this.#onRequest = onRequest;
  }

  get local(): Address {
    return this.#connection.local;
  }

  get remote(): Address {
    return this.#connection.remote;
  }

  get bytesReceived(): number {
    return this.#connection.bytesReceived;
  }

  get bytesSent(): number {
    return this.#connection.bytesSent;
  }

  get unsentBytes(): number {
    return this.#connection.unsentBytes;
  }

  setHandlers(handlers: ConnectionHandlers): void {
    const connection = this.#connection;
    const onRequest = this.#onRequest;
    const first = new FirstBytes();
    function pass(): void {
      const held = first.bytes;
      connection.setHandlers(handlers);
      if (held !== null) handlers.onData(held);
    }
    connection.setHandlers({
      onData(chunk) {
        const { speaks } = first.feed(chunk);
        if (isRequest(speaks)) onRequest(LATE_REQUEST);
        else if (speaks !== "undecided") pass();
      },
      onEnd() {
        if (isRequest(first.conclude().speaks)) onRequest(LATE_REQUEST);
        else {
          pass();
          handlers.onEnd();
        }
      },
      onDrain: () => handlers.onDrain(),
      onClose: (error) => handlers.onClose(error),
    });
  }

  write(chunk: Buffer): boolean {
    return this.#connection.write(chunk);
  }

  end(): void {
    this.#connection.end();
  }

  destroy(options?: { reset?: boolean }): void {
    this.#connection.destroy(options);
  }

  pause(): void {
    this.#connection.pause();
  }

  resume(): void {
    this.#connection.resume();
  }
}

function isRequest(speaks: Sight["speaks"]): boolean {
  return speaks === "http/1.1" || speaks === "h2";
}

const LATE_REQUEST = new CardeaError(
  "protocol-mismatch",
  "a request came on a connection that had been silent, and is opaque",
);
