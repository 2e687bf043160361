import { FLOW_LIMITS } from "../../core/flow-limits.ts";
import type { FlowRecord } from "../../observe/flow.ts";

/** Flows that a reader could not take in time. */
export interface Loss {
  readonly count: number;
  readonly firstMs: number;
  readonly lastMs: number;
}

/** What was taken out: flows, or what was lost before those that come next. */
export type Taken = { readonly flows: readonly FlowRecord[]; readonly loss: Loss | null };

/** Flows on their way to one reader who follows: a bounded queue, and a count of what had no room in it. */
export class LiveFlows {
  #waiting: FlowRecord[] = [];
  #loss: Loss | null = null;
  #wake: (() => void) | null = null;
  #isClosed = false;

  push(flows: readonly FlowRecord[]): void {
    if (this.#isClosed) return;
    const room = Math.max(0, FLOW_LIMITS.hubbleWaitingMax - this.#waiting.length);
    // Once something is lost all is, until the reader has been told: so it knows where the gap is.
    const kept = this.#loss === null ? flows.slice(0, room) : [];
    this.#waiting.push(...kept);
    for (const { timeMs } of flows.slice(kept.length)) this.#lose(timeMs);
    this.#wake?.();
  }

  /** What waits, once there is something; null when it was closed. */
  async take(): Promise<Taken | null> {
    while (this.#waiting.length === 0 && this.#loss === null && !this.#isClosed)
      await new Promise<void>((resolve) => (this.#wake = resolve));
    this.#wake = null;
    if (this.#isClosed) return null;
    const taken = { flows: this.#waiting, loss: this.#loss };
    this.#waiting = [];
    this.#loss = null;
    return taken;
  }

  close(): void {
    this.#isClosed = true;
    this.#waiting = [];
    this.#wake?.();
  }

  #lose(timeMs: number): void {
    const { count, firstMs, lastMs } = this.#loss ?? { count: 0, firstMs: timeMs, lastMs: timeMs };
    this.#loss = { count: count + 1, firstMs: Math.min(firstMs, timeMs), lastMs: Math.max(lastMs, timeMs) };
  }
}
