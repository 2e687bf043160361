import { DATA_BYTES_MAX, WINDOW_BYTES, WINDOW_BYTES_MAX } from "../../wire/http2-codes.ts";

/** A stream with data to send. */
export interface DataSource {
  /** Whether it has data and its own window has room. */
  readonly hasSendable: boolean;
  /** Sends one frame of at most so many octets, and returns how many it was. */
  sendFrame(bytesMax: number): number;
}

/**
 * Decides whose data goes next: at once while nobody waits, else one frame each in turn, so that a long body delays a
 * short one by a frame and not by its length. RFC 9113 section 5.2.
 */
export class DataSender {
  /** The connection takes no more for now. */
  isBlocked = false;
  #window = WINDOW_BYTES;
  #isPumping = false;
  /** In the order of their turns: who has had one goes to the end. */
  readonly #waiting = new Set<DataSource>();

  /** The source has something to send, or may send again. */
  submit(source: DataSource): void {
    if (!source.hasSendable) return;
    if (this.#waiting.size > 0 || this.#isPumping || !this.#maySend()) {
      this.#waiting.add(source);
      this.pump();
      return;
    }
    // Nobody waits: nearly every answer goes by here, and never enters the set, where it would need a hash.
    this.#isPumping = true;
    try {
      this.#send(source);
      this.#sendInTurn();
    } finally {
      this.#isPumping = false;
    }
  }

  remove(source: DataSource): void {
    if (this.#waiting.size > 0) this.#waiting.delete(source);
  }

  /** False when the window would be too large. RFC 9113 section 6.9.1. */
  widen(increment: number): boolean {
    this.#window += increment;
    if (this.#window > WINDOW_BYTES_MAX) return false;
    this.pump();
    return true;
  }

  pump(): void {
    // Who has sent may submit more before it returns: that waits for its turn, when the window is known again.
    if (this.#isPumping) return;
    this.#isPumping = true;
    try {
      this.#sendInTurn();
    } finally {
      this.#isPumping = false;
    }
  }

  #maySend(): boolean {
    return !this.isBlocked && this.#window > 0;
  }

  #send(source: DataSource): void {
    this.#window -= source.sendFrame(Math.min(DATA_BYTES_MAX, this.#window));
    if (source.hasSendable) this.#waiting.add(source);
  }

  #sendInTurn(): void {
    if (this.#waiting.size === 0) return;
    // A source that is added again while we go round is visited again, behind the others.
    for (const source of this.#waiting) {
      if (!this.#maySend()) return;
      this.#waiting.delete(source);
      if (source.hasSendable) this.#send(source);
    }
  }
}
