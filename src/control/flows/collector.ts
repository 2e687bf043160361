import { type CardeaError, toCardeaError } from "../../core/errors.ts";
import { FLOW_LIMITS } from "../../core/flow-limits.ts";
import type { Clock, Timer } from "../../core/ports.ts";
import type { SpiffeId } from "../../core/spiffe-id.ts";
import type { FlowRecord } from "../../observe/flow.ts";
import { type Collected, collectLogs } from "./collect.ts";
import type { FlowStore } from "./store.ts";
import { StoredBatches } from "./stored-batches.ts";

/** What has become of a request: told once it is durable, or once it is not. */
export type ExportOutcome =
  | { readonly at: "stored"; readonly collected: Collected }
  | { readonly at: "failed"; readonly error: CardeaError };

interface Waiting {
  readonly collected: Collected;
  readonly settle: (outcome: ExportOutcome) => void;
}

/**
 * Puts requests of sidecars into the store, many in one transaction: they wait for it for a tenth of a second at the most.
 * A sidecar that was told "stored" may forget what it sent.
 */
export class FlowCollector {
  readonly #store: FlowStore;
  readonly #clock: Clock;
  readonly #batches = new StoredBatches(FLOW_LIMITS.flowBatchesKnownMax);
  #waiting: Waiting[] = [];
  #flows = 0;
  #timer: Timer | null = null;
  #tending: Timer | null = null;

  constructor(store: FlowStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
    this.#tendLater();
  }

  export(request: Buffer, sender: SpiffeId, settle: Waiting["settle"]): void {
    let collected: Collected;
    try {
      collected = collectLogs(request, sender, {
        isKnown: ({ id }) => this.#batches.isKnown(sender, id),
        onFlow: (flow) => this.#store.append(this.#inTime(flow)),
        onLoss: (loss) => this.#store.appendLoss(sender, loss),
      });
    } catch (thrown) {
      const error = toCardeaError(thrown);
      settle({ at: "failed", error });
      // A request that is none takes nobody down with it. An error of the store has lost what the others wait for.
      if (error.code !== "bad-input") this.#settleAll(error);
      return;
    }
    this.#waiting.push({ collected, settle });
    this.#flows += collected.accepted;
    if (this.#flows >= FLOW_LIMITS.flowCommitFlowsMax) this.commit();
    else this.#timer ??= this.#clock.setTimer(FLOW_LIMITS.flowCommitMs, () => this.commit());
  }

  commit(): void {
    try {
      this.#store.commit();
      this.#batches.committed();
      this.#settleAll(null);
    } catch (thrown) {
      this.#settleAll(toCardeaError(thrown));
    }
  }

  close(): void {
    this.#tending?.cancel();
    this.commit();
  }

  #settleAll(error: CardeaError | null): void {
    if (error !== null) this.#batches.rolledBack();
    this.#timer?.cancel();
    this.#timer = null;
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#flows = 0;
    for (const { collected, settle } of waiting)
      settle(error === null ? { at: "stored", collected } : { at: "failed", error });
  }

  /** A sidecar whose clock is ahead must not stand before all others for as long as it was. */
  #inTime(flow: FlowRecord): FlowRecord {
    const nowMs = this.#clock.wallMs();
    return flow.timeMs <= nowMs + FLOW_LIMITS.flowClockAheadMs ? flow : { ...flow, timeMs: nowMs };
  }

  #tendLater(): void {
    this.#tending = this.#clock.setTimer(TEND_MS, () => {
      // What waits is settled first: tending commits it, too.
      this.commit();
      try {
        this.#store.tend();
      } catch {
        // The store has said what is wrong, and the next request is told of it.
      }
      this.#tendLater();
    });
  }
}

const TEND_MS = 10_000;
