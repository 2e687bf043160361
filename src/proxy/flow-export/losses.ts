import type { FlowRecord, Verdict } from "../../observe/flow.ts";
import { encodeLossLog } from "../../observe/otlp-loss.ts";
import type { ProtobufBytes } from "../../wire/protobuf-bytes.ts";

/** Why a record never came to the collector. */
export const LOSS_REASONS = ["queue-full", "refused", "ended"] as const;
export type LossReason = (typeof LOSS_REASONS)[number];

interface Lost {
  readonly reason: LossReason;
  readonly verdict: Verdict;
  readonly principal: string | null;
  flows: number;
}

/** Whose denials are counted by identity; the others are counted together. */
const IDENTITIES_MAX = 256;

/** Counts what is lost: for the metrics for ever, and for the collector until it has been told. */
export class Losses {
  readonly totals: Record<LossReason, number> = { "queue-full": 0, refused: 0, ended: 0 };
  #untold = new Map<string, Lost>();

  /** A flow that was never put into the queue. Denials are told by the identity of the other side. */
  flow(reason: LossReason, flow: FlowRecord): void {
    const isDenial = flow.verdict === "denied" || flow.verdict === "would-deny";
    const other = flow.reporter === "source" ? flow.destination : flow.source;
    this.#add(reason, { verdict: flow.verdict, principal: isDenial ? other.principal : null, flows: 1 });
  }

  /** Records of a batch, of which no more is known than what kind they are. */
  batch(reason: LossReason, verdict: Verdict, flows: number): void {
    if (flows > 0) this.#add(reason, { verdict, principal: null, flows });
  }

  /** What the collector has not been told yet, each as a record of its own; `untell` if it was not told after all. */
  tell(timeMs: number): { readonly records: readonly ProtobufBytes[]; untell(): void } {
    const told = this.#untold;
    this.#untold = new Map();
    return {
      records: [...told.values()].map((lost) => encodeLossLog(timeMs, lost)),
      untell: () => {
        for (const lost of told.values()) this.#keep(lost);
      },
    };
  }

  get hasUntold(): boolean {
    return this.#untold.size > 0;
  }

  #add(reason: LossReason, lost: Omit<Lost, "reason">): void {
    this.totals[reason] += lost.flows;
    this.#keep({ reason, ...lost });
  }

  #keep({ reason, verdict, principal, flows }: Lost): void {
    const isKnown = this.#untold.has(keyOf(reason, verdict, principal)) || this.#untold.size < IDENTITIES_MAX;
    const who = isKnown ? principal : null;
    const key = keyOf(reason, verdict, who);
    const before = this.#untold.get(key);
    if (before === undefined) this.#untold.set(key, { reason, verdict, principal: who, flows });
    else before.flows += flows;
  }
}

function keyOf(reason: LossReason, verdict: Verdict, principal: string | null): string {
  return `${reason} ${verdict} ${principal ?? ""}`;
}
