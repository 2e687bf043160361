import { ProtobufBytes } from "../../wire/protobuf-bytes.ts";

/** Spans one after the other, as they stand in a request: each with its tag and its length. */
export interface SpanBatch {
  readonly bytes: Buffer;
  readonly spans: number;
}

/** Spans that wait to be sent, the oldest first, in batches that are sent whole. It bounds nothing. */
export class SpanQueue {
  readonly #batchBytes: number;
  readonly #sealed: SpanBatch[] = [];
  readonly #open = new ProtobufBytes();
  #openSpans = 0;
  #sealedBytes = 0;

  constructor(batchBytes: number) {
    this.#batchBytes = batchBytes;
  }

  get bytes(): number {
    return this.#sealedBytes + this.#open.length;
  }

  /** Its bytes are copied. */
  add(span: ProtobufBytes): void {
    this.#open.octet(SPANS_TAG);
    this.#open.varint(span.length);
    this.#open.copy(span.bytes, span.length);
    this.#openSpans++;
    if (this.#open.length >= this.#batchBytes) this.#seal();
  }

  /** The oldest, so many bytes at the most where one batch is not more by itself; null: there is none. */
  take(bytesMax: number): SpanBatch | null {
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
    return {
      bytes: Buffer.concat(taken.map((batch) => batch.bytes)),
      spans: taken.reduce((sum, { spans }) => sum + spans, 0),
    };
  }

  /** One that could not be sent is the oldest again. */
  giveBack(batch: SpanBatch): void {
    this.#sealed.unshift(batch);
    this.#sealedBytes += batch.bytes.length;
  }

  #seal(): void {
    if (this.#openSpans === 0) return;
    this.#sealed.push({ bytes: this.#open.take(), spans: this.#openSpans });
    this.#sealedBytes += this.#open.length;
    this.#open.clear();
    this.#openSpans = 0;
  }
}

/** `ScopeSpans.spans`. */
const SPANS_TAG = 0x12;
