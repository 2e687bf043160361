import { LIMITS } from "../../core/limits.ts";
import { WINDOW_BYTES } from "../../wire/http2-codes.ts";
import { processMemory } from "./process-memory.ts";

/**
 * What the peer may still send on a connection. Credit is returned on receipt, whoever reads slowly, so that one slow
 * reader does not hold up the others; only when too much is held for slow readers is it kept back.
 */
export class ConnectionCredit {
  /** Of each of its streams, when nothing is under way. */
  readonly streamWindowBytes: number;
  #window = WINDOW_BYTES;
  /** Received, and not yet returned. The first return raises the window to its full size. */
  #owed = LIMITS.http2ConnectionWindowBytes - WINDOW_BYTES;
  #heldBytes = 0;

  constructor(streamWindowBytes: number) {
    this.streamWindowBytes = streamWindowBytes;
  }

  /** False when the peer has sent more than it may. RFC 9113 section 6.9.1. */
  take(bytes: number): boolean {
    this.#window -= bytes;
    this.#owed += bytes;
    return this.#window >= 0;
  }

  hold(bytes: number): void {
    this.#heldBytes += bytes;
    processMemory.add(bytes);
  }

  release(bytes: number): void {
    this.#heldBytes -= bytes;
    processMemory.remove(bytes);
  }

  /** A connection that holds nothing is nobody's burden. */
  #heldBytesMax(): number {
    return processMemory.isTight ? 1 : LIMITS.http2HeldBytesMax;
  }

  /** What to return now; 0 when it is not worth a frame, or not to be returned yet. */
  collect(): number {
    if (this.#owed < LIMITS.http2ConnectionWindowBytes / 2 || this.#heldBytes >= this.#heldBytesMax()) return 0;
    const increment = this.#owed;
    this.#owed = 0;
    this.#window += increment;
    return increment;
  }
}
