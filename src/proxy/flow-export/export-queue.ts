import type { FlowRecord } from "../../observe/flow.ts";
import type { FlowLogWriter } from "../../observe/otlp-flow.ts";
import { Chunks } from "./chunks.ts";
import { isChosen, isSampleable } from "../../observe/flow-sampling.ts";
import type { Losses } from "./losses.ts";
import { type Batch, RecordQueue } from "./record-queue.ts";

export interface QueueBounds {
  /** Of all records that wait in memory. */
  readonly bytesMax: number;
  /** Of these, what is kept for denials; they may take more, when others have not. */
  readonly reservedBytes: number;
  /** Of flows that were simply allowed, one in so many is sent, and stands for all of them. */
  readonly sampleOneIn: number;
}

/** A batch and whether it holds denials: those are never dropped for others. */
export interface QueuedBatch extends Batch {
  readonly isDenials: boolean;
}

/** Flow records that wait in memory: denials by themselves, before all others. */
export class ExportQueue {
  readonly #bounds: QueueBounds;
  readonly #losses: Losses;
  readonly #chunks = new Chunks();
  readonly #denials: RecordQueue;
  readonly #others: RecordQueue;

  constructor(bounds: QueueBounds, writer: FlowLogWriter, losses: Losses) {
    this.#bounds = bounds;
    this.#losses = losses;
    this.#denials = new RecordQueue(writer, this.#chunks);
    this.#others = new RecordQueue(writer, this.#chunks);
  }

  get bytes(): number {
    return this.#denials.bytes + this.#others.bytes;
  }

  get denialBytes(): number {
    return this.#denials.bytes;
  }

  /** Denials that have no room here any more, and ought to go to the disk. */
  get hasDenialsToSpare(): boolean {
    return this.#denials.bytes > this.#bounds.reservedBytes;
  }

  /** Where there is no room it is counted. */
  add(flow: FlowRecord): void {
    const { bytesMax, reservedBytes } = this.#bounds;
    if (isDenial(flow)) {
      this.#evictFor(bytesMax);
      if (this.#denials.bytes >= bytesMax) this.#losses.flow("queue-full", flow);
      else this.#denials.add(flow);
      return;
    }
    const { sampleOneIn } = this.#bounds;
    const isSampled = sampleOneIn > 1 && isSampleable(flow);
    if (isSampled && !isChosen(flow, sampleOneIn)) return;
    // Before it is encoded: while a collector is away, what is lost should cost next to nothing.
    const isFull = this.bytes >= bytesMax - Math.max(0, reservedBytes - this.#denials.bytes);
    if (isFull) this.#losses.flow("queue-full", flow);
    else this.#others.add(isSampled ? { ...flow, sampledFrom: sampleOneIn } : flow);
  }

  /** The next to be sent, or null. */
  take(bytesMax: number): QueuedBatch | null {
    const denials = this.takeDenials(bytesMax);
    if (denials !== null) return denials;
    const batch = this.#others.take(bytesMax);
    return batch === null ? null : { ...batch, isDenials: false };
  }

  takeDenials(bytesMax: number): QueuedBatch | null {
    const batch = this.#denials.take(bytesMax);
    return batch === null ? null : { ...batch, isDenials: true };
  }

  giveBack(batch: QueuedBatch): void {
    (batch.isDenials ? this.#denials : this.#others).giveBack(batch);
  }

  /** Nobody will read the batch any more: its memory takes others. */
  release({ pieces }: Batch): void {
    for (const { bytes } of pieces) this.#chunks.giveBack(bytes);
  }

  /** A denial goes before what was let through, and takes its room. */
  #evictFor(bytesMax: number): void {
    while (this.bytes >= bytesMax) {
      const batch = this.#others.take(0);
      if (batch === null) return;
      this.#losses.batch("queue-full", "allowed", batch.records);
      this.release(batch);
    }
  }
}

function isDenial({ verdict }: FlowRecord): boolean {
  return verdict === "denied" || verdict === "would-deny";
}
