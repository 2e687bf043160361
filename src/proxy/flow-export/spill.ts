import { LOG_RECORD_TAG, SCOPE_LOGS_TAG } from "../../observe/otlp-request.ts";
import { type Batch, batchOf, type Piece } from "./record-queue.ts";

/** What a spill stands on: io/spill-file.ts. */
export interface SpillStore {
  readonly bytes: number;
  append(piece: Buffer): Promise<boolean>;
  peek(bytesMax: number): Promise<Buffer>;
  drop(bytes: number): Promise<void>;
  close(): Promise<void>;
}

/**
 * Batches that wait on the disk. They come back cut anew, at the pieces: a request is not larger for it. What was torn
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
    return this.#next(() => this.#store.append(Buffer.concat(batch.pieces.map(({ bytes }) => bytes))));
  }

  /** The oldest records, or null; they stay until `drop`. */
  async peek(bytesMax: number): Promise<Batch | null> {
    if (this.isEmpty) return null;
    return this.#next(async () => {
      const batch = wholePieces(await this.#store.peek(bytesMax));
      // Not one whole piece at the beginning: nothing after it can be told apart.
      if (batch === null) await this.#store.drop(this.#store.bytes);
      return batch;
    });
  }

  drop({ bytes }: Batch): Promise<void> {
    return this.#next(() => this.#store.drop(bytes));
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

function wholePieces(read: Buffer): Batch | null {
  const pieces: Piece[] = [];
  for (let at = 0; at < read.length; ) {
    const end = read[at] === SCOPE_LOGS_TAG ? endOfField(read, at) : null;
    if (end === null) break;
    pieces.push({ bytes: read.subarray(at, end.at), records: countRecords(read.subarray(end.valueAt, end.at)) });
    at = end.at;
  }
  return pieces.length === 0 ? null : batchOf(pieces);
}

/** Of a ScopeLogs: its scope, then records. */
function countRecords(scopeLogs: Buffer): number {
  let records = 0;
  for (let at = 0; at < scopeLogs.length; ) {
    if (scopeLogs[at] === LOG_RECORD_TAG) records++;
    const end = endOfField(scopeLogs, at);
    if (end === null) break;
    ({ at } = end);
  }
  return records;
}

/** Where the value of a length-delimited field begins, and what follows it; null: it does not end here. */
function endOfField(bytes: Buffer, start: number): { readonly valueAt: number; readonly at: number } | null {
  let length = 0;
  let at = start + 1;
  for (let scale = 1; ; scale *= 128) {
    if (at >= bytes.length || scale > 2 ** 21) return null;
    const octet = bytes[at++]!;
    length += (octet & 0x7f) * scale;
    if (octet < 0x80) break;
  }
  return at + length > bytes.length ? null : { valueAt: at, at: at + length };
}
