import { CardeaError } from "../core/errors.ts";
import type { Connection, ConnectionHandlers } from "../core/ports.ts";
import { WithoutLateRequests } from "./late-requests.ts";
import type { Lifetime } from "./lifetime.ts";
import type { Detached } from "./streams.ts";

interface Begun {
  readonly early: Buffer | null;
  readonly hasEnded: boolean;
  /** The server name in the app's own ClientHello, or null. */
  readonly appSni: string | null;
}

/**
 * A connection that has turned out to be opaque, paused, with what was read of it, until the other side is connected:
 * whatever happens to it meanwhile is not lost.
 */
export class OpaqueBeginning implements ConnectionHandlers {
  readonly connection: Connection;
  readonly appSni: string | null;
  /** Called when the connection is gone before it was opened. */
  onGone: ((error: CardeaError) => void) | null = null;
  readonly #early: Buffer[];
  #hasEnded: boolean;

  constructor(connection: Connection, { early, hasEnded, appSni }: Begun) {
    this.connection = connection;
    this.appSni = appSni;
    this.#early = early === null ? [] : [early];
    this.#hasEnded = hasEnded;
    connection.pause();
    connection.setHandlers(this);
  }

  /**
   * Gives it away. If nothing has come of it yet, and `onLateRequest` is there, a request that comes all the same is not
   * let through: that is called.
   */
  open(lifetime: Lifetime, onLateRequest: ((error: CardeaError) => void) | null = null): Detached {
    const hasEnded = this.#hasEnded;
    if (this.#early.length > 0) {
      return { connection: this.connection, early: Buffer.concat(this.#early), lifetime, hasEnded };
    }
    const connection =
      onLateRequest === null ? this.connection : new WithoutLateRequests(this.connection, onLateRequest);
    return { connection, early: null, lifetime, hasEnded };
  }

  onData(chunk: Buffer): void {
    this.#early.push(chunk);
  }

  onEnd(): void {
    this.#hasEnded = true;
  }

  onDrain(): void {}

  onClose(error: CardeaError | undefined): void {
    this.onGone?.(error ?? new CardeaError("downstream-reset", "the caller went away"));
  }
}
