import type { FlowRecord } from "../../observe/flow.ts";
import { type FlowGroup, type FlowLogWriter, type OpenRecords, sealGroup } from "../../observe/otlp-flow.ts";
import { CHUNK_FULL_BYTES, type Chunks } from "./chunks.ts";

/** Records as they stand in a request: one ScopeLogs, with its tag and its length. */
export interface Piece {
  readonly bytes: Buffer;
  readonly records: number;
}

/** Pieces that are sent together. */
export interface Batch {
  readonly pieces: readonly Piece[];
  readonly bytes: number;
  readonly records: number;
}

export function batchOf(pieces: readonly Piece[]): Batch {
  let [bytes, records] = [0, 0];
  for (const piece of pieces) {
    bytes += piece.bytes.length;
    records += piece.records;
  }
  return { pieces, bytes, records };
}

/** Flows that wait to be sent, the oldest first, those of one group together. It bounds nothing. */
export class RecordQueue {
  readonly #writer: FlowLogWriter;
  readonly #chunks: Chunks;
  readonly #sealed: Piece[] = [];
  #sealedBytes = 0;
  /** Groups that are being written to; the first was begun first. */
  readonly #open: FlowGroup[] = [];
  #openBytes = 0;

  constructor(writer: FlowLogWriter, chunks: Chunks) {
    this.#writer = writer;
    this.#chunks = chunks;
  }

  get bytes(): number {
    return this.#sealedBytes + this.#openBytes;
  }

  add(flow: FlowRecord): void {
    const group = this.#writer.groupOf(flow);
    const open = group.made.open ?? this.#begin(group);
    const { bytes } = open;
    const before = bytes.length;
    this.#writer.put(bytes, group, flow);
    open.records++;
    this.#openBytes += bytes.length - before;
    if (bytes.length >= CHUNK_FULL_BYTES) this.#seal(group);
  }

  /** The oldest, so many bytes at the most where one piece is not more by itself; null: there is none. */
  take(bytesMax: number): Batch | null {
    if (this.#sealed.length === 0) while (this.#open.length > 0) this.#seal(this.#open[0]!);
    let [count, bytes] = [0, 0];
    for (const piece of this.#sealed) {
      if (count > 0 && bytes + piece.bytes.length > bytesMax) break;
      bytes += piece.bytes.length;
      count++;
    }
    if (count === 0) return null;
    this.#sealedBytes -= bytes;
    return batchOf(this.#sealed.splice(0, count));
  }

  /** One that could not be sent is the oldest again. */
  giveBack({ pieces, bytes }: Batch): void {
    this.#sealed.unshift(...pieces);
    this.#sealedBytes += bytes;
  }

  #begin(group: FlowGroup): OpenRecords {
    const { made } = group;
    if (this.#open.length >= OPEN_MAX) this.#seal(this.#open[0]!);
    const bytes = this.#chunks.take();
    bytes.copy(made.head);
    made.open = { bytes, records: 0 };
    this.#open.push(group);
    this.#openBytes += bytes.length;
    return made.open;
  }

  #seal(group: FlowGroup): void {
    const { bytes, records } = group.made.open!;
    group.made.open = null;
    this.#open.splice(this.#open.indexOf(group), 1);
    sealGroup(bytes);
    this.#openBytes -= bytes.length;
    const sealed = this.#chunks.seal(bytes);
    this.#sealed.push({ bytes: sealed, records });
    this.#sealedBytes += sealed.length;
  }
}

/** What callers choose decides how many groups there are. */
const OPEN_MAX = 16;
