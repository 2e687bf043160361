import { LOG_RECORD_TAG } from "../../observe/otlp-request.ts";
import type { Batch } from "./record-queue.ts";

/** What a spill stands on: io/spill-file.ts. */
export interface SpillStore {
  readonly bytes: number;
  append(piece: Buffer): Promise<boolean>;
  peek(bytesMax: number): Promise<Buffer>;
  drop(bytes: number): Promise<void>;
  close(): Promise<void>;
}

/**
 * Batches that wait on the disk. They come back cut anew, at the records: a request is not larger for it. What was torn
 * when an earlier process ended is dropped.
 */
export class Spill {
  readonly #store: SpillStore;
  /** One thing at a time: what is appended must not meet what is cut away. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(store: SpillStore) {
    this.#store = store;
  }

  get isEmpty(): boolean {
    return this.#store.bytes === 0;
  }

  /** False: the disk's share is full. */
  put(batch: Batch): Promise<boolean> {
    return this.#next(() => this.#store.append(batch.bytes));
  }

  /** The oldest records, or null; they stay until `drop`. */
  async peek(bytesMax: number): Promise<Batch | null> {
    if (this.isEmpty) return null;
    return this.#next(async () => {
      const batch = wholeRecords(await this.#store.peek(bytesMax));
      // Not one whole record at the beginning: nothing after it can be told apart.
      if (batch === null) await this.#store.drop(this.#store.bytes);
      return batch;
    });
  }

  drop({ bytes }: Batch): Promise<void> {
    return this.#next(() => this.#store.drop(bytes.length));
  }

  close(): Promise<void> {
    return this.#next(() => this.#store.close());
  }

  #next<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined);
    return done;
  }
}

function wholeRecords(piece: Buffer): Batch | null {
  let at = 0;
  let records = 0;
  while (at < piece.length && piece[at] === LOG_RECORD_TAG) {
    let length = 0;
    let next = at + 1;
    for (let scale = 1; next < piece.length; scale *= 128) {
      const octet = piece[next++]!;
      length += (octet & 0x7f) * scale;
      if (octet < 0x80) break;
      if (scale > 2 ** 21) return null;
    }
    if (next + length > piece.length) break;
    at = next + length;
    records++;
  }
  return records === 0 ? null : { bytes: piece.subarray(0, at), records };
}
