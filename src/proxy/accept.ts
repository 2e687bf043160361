import { CardeaError } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import type { Clock, Connection, ConnectionHandlers } from "../core/ports.ts";
import type { LiveConnections } from "./live.ts";

/**
 * Counts the connections that are being accepted or open, against LIMITS.connectionsMax, so that callers without
 * end find a closed door and not a full memory.
 */
export class AcceptGate {
  readonly #live: LiveConnections;
  #handshakes = 0;

  constructor(live: LiveConnections) {
    this.#live = live;
  }

  /** Errors: `overloaded`, `draining`. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    this.assertOpen();
    this.#handshakes++;
    try {
      return await work();
    } finally {
      this.#handshakes--;
    }
  }

  /** Errors: `overloaded`, `draining`. */
  assertOpen(): void {
    if (this.#live.isDraining) throw new CardeaError("draining", "the sidecar is shutting down");
    if (this.#handshakes + this.#live.size >= LIMITS.connectionsMax) {
      throw new CardeaError("overloaded", "the limit on open connections is reached");
    }
  }
}

/**
 * The first bytes of a connection, until they are enough to tell; it is left paused for another stage to take over.
 * Errors: `request-timeout`, `downstream-reset` when the caller goes away before.
 */
export function readFirstBytes(
  connection: Connection,
  isEnough: (head: Buffer) => boolean,
  clock: Clock,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    // From accept on, and never prolonged: drops of bytes hold no place for longer.
    const timer = clock.setTimer(LIMITS.firstBytesTimeoutMs, () =>
      reject(new CardeaError("request-timeout", "nothing came, or too little")),
    );
    const gone = () => {
      timer.cancel();
      reject(new CardeaError("downstream-reset", "the caller went away before it had said anything"));
    };
    let head: Buffer = EMPTY;
    connection.setHandlers({
      onData(chunk) {
        head = head.length === 0 ? chunk : Buffer.concat([head, chunk]);
        if (!isEnough(head)) return;
        timer.cancel();
        connection.pause();
        connection.setHandlers(IGNORING);
        resolve(head);
      },
      onEnd: gone,
      onDrain: () => {},
      onClose: gone,
    });
  });
}

const EMPTY = Buffer.alloc(0);

/** Between two stages, within one turn. */
const IGNORING: ConnectionHandlers = { onData: () => {}, onEnd: () => {}, onDrain: () => {}, onClose: () => {} };
