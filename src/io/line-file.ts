import { LIMITS } from "../core/limits.ts";
import type { LineSink } from "../core/ports.ts";
import { type AppendTarget, appendToFile, appendToStdout, type Batch } from "./append-file.ts";
import { LineBacklog } from "./line-backlog.ts";

export interface LineFileOptions {
  /** The file to append to, rotated to `<path>.1`; null: standard output. */
  readonly path: string | null;
  /** Told of the first failure of a row, and of its end; what to do with it is the caller's matter. */
  onTrouble?(message: string): void;
  readonly fileBytesMax?: number;
  readonly backlogLinesMax?: number;
  /** How long a file that was moved away may still be written to. */
  readonly lookAgainMs?: number;
  /** How long after a failed write the next one is tried. */
  readonly retryMs?: number;
}

/** Lines gather for this long under load; the first after a pause goes out at the end of its event-loop turn. */
const GATHER_MS = 20;
const RETRY_MS = 500;
/** One write's worth: a batch that fails is kept, so it should not be everything. At 8,000 requests/s it is 40 ms'. */
const BATCH_BYTES = 262_144;

/**
 * A LineSink over a file or standard output. Never blocks: lines wait in memory while the disk is slow or full,
 * and are dropped and counted when too many wait. A line is in the kernel's hands within a turn or GATHER_MS.
 */
export function openLineFile(options: LineFileOptions): LineSink {
  const target =
    options.path === null
      ? appendToStdout()
      : appendToFile(options.path, options.fileBytesMax ?? LIMITS.flowFileBytesMax, options.lookAgainMs);
  return new LineFile(target, options);
}

type Flushing =
  | { at: "idle" }
  | { at: "scheduled"; cancel(): void }
  | { at: "writing"; done: Promise<void> }
  | { at: "closed" };

class LineFile implements LineSink {
  dropped = 0;
  readonly #waiting = new LineBacklog(BATCH_BYTES);
  #batch: Batch | null = null;
  #flushing: Flushing = { at: "idle" };
  #isClosing = false;
  #isInTrouble = false;
  #lastFlushMs = Number.NEGATIVE_INFINITY;
  readonly #target: AppendTarget;
  readonly #options: LineFileOptions;

  constructor(target: AppendTarget, options: LineFileOptions) {
    this.#target = target;
    this.#options = options;
  }

  write(line: string): void {
    const bytes = Buffer.from(line, "utf8");
    this.writeBytes(bytes, bytes.length);
  }

  writeBytes(bytes: Uint8Array, length: number): void {
    const linesMax = this.#options.backlogLinesMax ?? LIMITS.flowBacklogLinesMax;
    const isFull = this.#waiting.lines >= linesMax || this.#waiting.bytes >= LIMITS.flowBacklogBytesMax;
    if (isFull || this.#isClosing) {
      this.dropped++;
      return;
    }
    this.#waiting.add(bytes, length);
    if (this.#flushing.at === "idle") this.#schedule();
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    if (this.#flushing.at === "scheduled") this.#flushing.cancel();
    if (this.#flushing.at === "writing") await this.#flushing.done;
    // Whatever state it was in, one last try with all that waits.
    await this.#writeAll();
    this.#giveUp();
    this.#flushing = { at: "closed" };
    await this.#target.close();
  }

  #schedule(): void {
    const waitMs = this.#lastFlushMs + GATHER_MS - performance.now();
    this.#flushing = waitMs <= 0 ? this.#afterTurn() : this.#afterMs(waitMs);
  }

  #afterTurn(): Flushing {
    const turn = setImmediate(() => this.#flush());
    return { at: "scheduled", cancel: () => clearImmediate(turn) };
  }

  #afterMs(waitMs: number): Flushing {
    const timer = setTimeout(() => this.#flush(), waitMs);
    return { at: "scheduled", cancel: () => clearTimeout(timer) };
  }

  #flush(): void {
    this.#lastFlushMs = performance.now();
    this.#flushing = { at: "writing", done: this.#writeAndGoOn() };
  }

  async #writeAndGoOn(): Promise<void> {
    const isWritten = await this.#writeAll();
    if (this.#isClosing) return;
    if (!isWritten) this.#flushing = this.#afterMs(this.#options.retryMs ?? RETRY_MS);
    else if (this.#waiting.lines > 0) this.#schedule();
    else this.#flushing = { at: "idle" };
  }

  /** Writes what waited when it began, and at closing all; false when the target did not take it. */
  async #writeAll(): Promise<boolean> {
    try {
      do {
        this.#batch ??= this.#waiting.take();
        if (this.#batch === null) break;
        await this.#target.append(this.#batch);
        this.#waiting.giveBack(this.#batch);
        this.#batch = null;
      } while (this.#isClosing || this.#waiting.bytes >= BATCH_BYTES);
      this.#tellTrouble(false, `${this.#name()} is written again`);
      return true;
    } catch (error) {
      this.#tellTrouble(true, `cannot write ${this.#name()}: ${reasonOf(error)}`);
      return false;
    }
  }

  /** Counts what will never be written. */
  #giveUp(): void {
    this.dropped += this.#waiting.lines;
    this.#waiting.clear();
    if (this.#batch !== null) this.dropped += countLines(this.#batch);
    this.#batch = null;
  }

  #name(): string {
    return this.#options.path ?? "stdout";
  }

  #tellTrouble(isInTrouble: boolean, message: string): void {
    if (this.#isInTrouble === isInTrouble) return;
    this.#isInTrouble = isInTrouble;
    this.#options.onTrouble?.(message);
  }
}

/** The lines of a batch that did not get out whole. */
function countLines(batch: Batch): number {
  let lines = 0;
  for (let at = batch.bytes.indexOf(0x0a, batch.offset); at >= 0; at = batch.bytes.indexOf(0x0a, at + 1)) lines++;
  return lines;
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
