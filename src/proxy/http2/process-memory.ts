import { LIMITS } from "../../core/limits.ts";

/**
 * What the streams of all connections keep for peers that read slowly: a stream and a connection have bounds of their
 * own, and thousands of them together need a third.
 */
class ProcessMemory {
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** Who keeps something takes no more in, and lets its sources wait. */
  get isTight(): boolean {
    return this.#bytes >= LIMITS.http2ProcessBytesMax;
  }

  /** What still comes within the windows that were given is not kept either. */
  get isExhausted(): boolean {
    return this.#bytes >= 2 * LIMITS.http2ProcessBytesMax;
  }

  add(bytes: number): void {
    this.#bytes += bytes;
  }

  remove(bytes: number): void {
    this.#bytes -= bytes;
  }
}

/** The one of this process, since its memory is what is to be bounded. */
export const processMemory = new ProcessMemory();
