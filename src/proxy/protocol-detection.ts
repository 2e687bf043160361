import { CardeaError } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import type { Clock, Connection, ConnectionHandlers, Timer } from "../core/ports.ts";
import { FirstBytes, type Sight } from "./first-bytes.ts";
import type { LiveConnection, LiveConnections } from "./live.ts";
import { OpaqueBeginning } from "./opaque-beginning.ts";

/** A server of requests that has taken the connection over. */
interface Server {
  onData(chunk: Buffer): void;
  /** Left out where nobody half-closes. */
  onEnd?(): void;
}

interface ProtocolDetectionOptions {
  /** AUTO: whatever comes. TLS: that alone. */
  readonly expects: "AUTO" | "TLS";
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly live: LiveConnections;
  /** Each takes the connection over, and its place in `live`. */
  serveHttp1(): Server;
  serveHttp2(): Server;
  serveOpaque(beginning: OpaqueBeginning): void;
  /** It is not to be served; the connection is still open. */
  refuse(error: CardeaError): void;
}

/**
 * A connection until it has shown what it speaks, on a port that does not say (or says TLS, of which the name is
 * wanted). Nothing is forwarded, and nobody is dialled, before. ADR 0017.
 */
export class ProtocolDetection implements ConnectionHandlers, LiveConnection {
  readonly #connection: Connection;
  readonly #options: ProtocolDetectionOptions;
  readonly #first = new FirstBytes();
  readonly #timer: Timer;
  #hasEnded = false;

  constructor(connection: Connection, options: ProtocolDetectionOptions) {
    this.#connection = connection;
    this.#options = options;
    connection.setHandlers(this);
    options.live.add(this);
    // Where the client is known to begin, it may take its time.
    const timeoutMs = options.expects === "TLS" ? LIMITS.firstBytesTimeoutMs : options.timeoutMs;
    this.#timer = options.clock.setTimer(timeoutMs, () => this.#conclude());
  }

  onData(chunk: Buffer): void {
    const sight = this.#first.feed(chunk);
    if (sight.speaks !== "undecided") this.#follow(sight);
  }

  onEnd(): void {
    this.#hasEnded = true;
    if (this.#first.bytes !== null) this.#conclude();
    else {
      // Nothing was asked: a probe that only looks whether the port is open.
      this.#leave();
      this.#connection.destroy();
    }
  }

  onDrain(): void {}

  onClose(): void {
    this.#leave();
  }

  onTick(): void {
    // It has a timer of its own, finer than the ticks.
  }

  drain(): void {
    if (this.#first.bytes === null) this.endNow();
  }

  endNow(): void {
    this.#leave();
    this.#connection.destroy();
  }

  #conclude(): void {
    this.#follow(this.#first.conclude());
  }

  #follow(sight: Sight): void {
    this.#leave();
    const options = this.#options;
    if (options.expects === "TLS" && sight.speaks !== "tls") options.refuse(this.#noTls(sight));
    else if (sight.speaks === "http/1.1") this.#give(options.serveHttp1());
    else if (sight.speaks === "h2") this.#give(options.serveHttp2());
    else this.#beOpaque(sight.speaks === "tls" ? sight.hello.sni : null);
  }

  #noTls(sight: Sight): CardeaError {
    if (this.#first.bytes === null) return new CardeaError("request-timeout", "nothing came");
    const why = sight.speaks === "opaque" && sight.why !== null ? `: ${sight.why}` : "";
    return new CardeaError("protocol-mismatch", `the port is declared TLS, and something else came${why}`);
  }

  #give(server: Server): void {
    server.onData(this.#first.bytes!);
    if (!this.#hasEnded) return;
    if (server.onEnd === undefined) this.#connection.destroy();
    else server.onEnd();
  }

  #beOpaque(appSni: string | null): void {
    const early = this.#first.bytes;
    const beginning = new OpaqueBeginning(this.#connection, { early, hasEnded: this.#hasEnded, appSni });
    this.#options.serveOpaque(beginning);
  }

  #leave(): void {
    this.#timer.cancel();
    this.#options.live.delete(this);
  }
}
