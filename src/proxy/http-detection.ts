import { LIMITS } from "../core/limits.ts";
import type { Connection, ConnectionHandlers } from "../core/ports.ts";
import { lookForHttp2 } from "./detect.ts";
import type { Http1ServerConnection } from "./http1/server-connection.ts";
import type { Http2ServerConnection } from "./http2/server-connection.ts";
import { type LiveConnection, type LiveConnections, type Moment, Stillness } from "./live.ts";

interface HttpDetectionOptions {
  readonly live: LiveConnections;
  /** Either takes the connection over, and its place in `live`. */
  serveHttp1(): Http1ServerConnection;
  serveHttp2(): Http2ServerConnection;
}

/**
 * A plaintext connection of our own app until it has shown which HTTP it speaks: HTTP/2 begins with a preface that is
 * no request (prior knowledge, RFC 9113 section 3.3), all else is HTTP/1.1 or refused by its parser.
 */
export class HttpDetection implements ConnectionHandlers, LiveConnection {
  readonly #connection: Connection;
  readonly #options: HttpDetectionOptions;
  readonly #stillness = new Stillness();
  #held: Buffer = NOTHING;

  constructor(connection: Connection, options: HttpDetectionOptions) {
    this.#connection = connection;
    this.#options = options;
    connection.setHandlers(this);
    options.live.add(this);
  }

  onData(chunk: Buffer): void {
    this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const found = lookForHttp2(this.#held);
    if (found === "http/1.1") this.#beginHttp1();
    else if (found === "h2") this.#beginHttp2();
  }

  onEnd(): void {
    this.#beginHttp1().onEnd();
  }

  onDrain(): void {}

  onClose(): void {
    this.#leave();
  }

  onTick(now: Moment): void {
    const stillMs = this.#stillness.measureMs(this.#connection.bytesReceived, now.monotonicMs);
    if (this.#held.length > 0 && stillMs >= LIMITS.firstBytesTimeoutMs) this.#beginHttp1();
    else if (stillMs >= LIMITS.keepAliveIdleMs) this.drain();
  }

  drain(): void {
    this.#beginHttp1().drain();
  }

  endNow(): void {
    this.#leave();
    this.#connection.destroy();
  }

  #beginHttp1(): Http1ServerConnection {
    this.#leave();
    const server = this.#options.serveHttp1();
    if (this.#held.length > 0) server.onData(this.#held);
    return server;
  }

  #beginHttp2(): void {
    this.#leave();
    this.#options.serveHttp2().onData(this.#held);
  }

  #leave(): void {
    this.#options.live.delete(this);
  }
}

const NOTHING = Buffer.alloc(0);
