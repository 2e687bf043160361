import { Duplex } from "node:stream";
import type { Connection } from "../../src/core/ports.ts";

/** A connection as a stream of Node's, for programs that are not ours to speak over. */
export class ConnectionDuplex extends Duplex {
  readonly #connection: Connection;
  #onDrain: (() => void) | null = null;
  #hasEnded = false;

  /** `allowHalfOpen` as Node's servers of HTTP have it, and its clients have not. */
  constructor(connection: Connection, allowHalfOpen: boolean) {
    super({ allowHalfOpen });
    this.#connection = connection;
    connection.setHandlers({
      onData: (chunk) => {
        if (!this.push(chunk)) connection.pause();
      },
      onEnd: () => {
        this.#hasEnded = true;
        this.push(null);
      },
      onDrain: () => this.#drained(),
      onClose: (error) => {
        this.#drained();
        // Closed in good order, it may still have to be read; then it destroys itself.
        if (error !== undefined || !this.#hasEnded) this.destroy(error);
      },
    });
  }

  override _read(): void {
    this.#connection.resume();
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    if (this.#connection.write(chunk)) done();
    else this.#onDrain = done;
  }

  override _final(done: () => void): void {
    this.#connection.end();
    done();
  }

  /** With an error: a reset. */
  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#connection.destroy({ reset: error !== null });
    done(error);
  }

  // What Node's HTTP asks of a socket.
  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  setTimeout(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  #drained(): void {
    const done = this.#onDrain;
    this.#onDrain = null;
    done?.();
  }
}
