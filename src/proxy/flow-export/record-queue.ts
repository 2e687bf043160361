import { ProtobufBytes } from "../../wire/protobuf-bytes.ts";
import { LOG_RECORD_TAG } from "../../observe/otlp-request.ts";

/** Records one after the other, as they stand in a request: each with its tag and its length. */
export interface Batch {
  readonly bytes: Buffer;
  readonly records: number;
}

/** Records that wait to be sent, the oldest first, in batches that are sent whole. It bounds nothing. */
export class RecordQueue {
  readonly #batchBytes: number;
  readonly #sealed: Batch[] = [];
  readonly #open = new ProtobufBytes();
  #openRecords = 0;
  #sealedBytes = 0;

  constructor(batchBytes: number) {
    this.#batchBytes = batchBytes;
  }

  get bytes(): number {
    return this.#sealedBytes + this.#open.length;
  }

  /** A record of so many of these bytes, which are copied. */
  add(record: ProtobufBytes): void {
    this.#open.octet(LOG_RECORD_TAG);
    this.#open.varint(record.length);
    this.#open.copy(record.bytes, record.length);
    this.#openRecords++;
    if (this.#open.length >= this.#batchBytes) this.#seal();
  }

  /** The oldest, so many bytes at the most where one batch is not more by itself; null: there is none. */
  take(bytesMax: number): Batch | null {
    if (this.#sealed.length === 0) this.#seal();
    let [count, bytes] = [0, 0];
    for (const batch of this.#sealed) {
      if (count > 0 && bytes + batch.bytes.length > bytesMax) break;
      bytes += batch.bytes.length;
      count++;
    }
    if (count === 0) return null;
    const taken = this.#sealed.splice(0, count);
    this.#sealedBytes -= bytes;
    if (taken.length === 1) return taken[0]!;
    return {
      bytes: Buffer.concat(taken.map((batch) => batch.bytes)),
      records: taken.reduce((sum, { records }) => sum + records, 0),
    };
  }

  /** One that could not be sent is the oldest again. */
  giveBack(batch: Batch): void {
    this.#sealed.unshift(batch);
    this.#sealedBytes += batch.bytes.length;
  }

  #seal(): void {
    if (this.#openRecords === 0) return;
    const batch = { bytes: this.#open.take(), records: this.#openRecords };
    this.#sealed.push(batch);
    this.#sealedBytes += batch.bytes.length;
    this.#open.clear();
    this.#openRecords = 0;
  }
}
