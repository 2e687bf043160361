import { EXPORT_TRACES, EXPORT_TRACES_RESPONSE } from "../../api/otlp-messages.ts";
import { toCardeaError } from "../../core/errors.ts";
import type { Clock, Logger, Random, Timer } from "../../core/ports.ts";
import { TRACE_LIMITS } from "../../core/trace-limits.ts";
import { type OtlpResource, resourceHead, scopeHead } from "../../observe/otlp-request.ts";
import { GRPC, type GrpcStatus } from "../../wire/grpc-status.ts";
import type { ProtobufBytes } from "../../wire/protobuf-bytes.ts";
import type { CollectorCalls } from "../flow-export/exporter.ts";
import { type SpanBatch, SpanQueue } from "./span-queue.ts";
import type { SpanSink } from "./span-recorder.ts";

/** Why spans never came to the control plane. `rate`: they were not made, by request. */
export const SPAN_LOSS_REASONS = ["rate", "queue-full", "refused", "ended"] as const;
export type SpanLossReason = (typeof SPAN_LOSS_REASONS)[number];

export interface SpanExporterOptions {
  readonly calls: CollectorCalls;
  readonly resource: OtlpResource;
  readonly version: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Sends spans, apart from the data path: whoever makes one waits for nothing. What there is no room for is counted. */
export class SpanExporter implements SpanSink {
  readonly #options: SpanExporterOptions;
  readonly #queue = new SpanQueue(TRACE_LIMITS.spanExportBatchBytes);
  readonly #dropped: Record<SpanLossReason, number> = { rate: 0, "queue-full": 0, refused: 0, ended: 0 };
  readonly #giveUp = new AbortController();
  #exported = 0;
  #timer: Timer | null = null;
  #sending: Promise<void> | null = null;
  #failures = 0;
  #isClosed = false;

  constructor(options: SpanExporterOptions) {
    this.#options = options;
  }

  /** Spans that the control plane has, and those that it will never have, by reason. */
  get counts(): { readonly exported: number; readonly dropped: Readonly<Record<SpanLossReason, number>> } {
    return { exported: this.#exported, dropped: this.#dropped };
  }

  skipped(): void {
    this.#dropped.rate++;
  }

  add(span: ProtobufBytes): void {
    if (this.#isClosed) this.#dropped.ended++;
    else if (this.#queue.bytes + span.length > TRACE_LIMITS.spanExportBytesMax) this.#dropped["queue-full"]++;
    else {
      this.#queue.add(span);
      if (this.#timer === null && this.#sending === null) this.#later(TRACE_LIMITS.spanExportGatherMs);
    }
  }

  /** Sends what waits, as long as that goes well and `TRACE_LIMITS.spanExportDrainMs` lets it. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    const tooLate = this.#options.clock.setTimer(TRACE_LIMITS.spanExportDrainMs, () => this.#giveUp.abort());
    await this.#sending;
    if (this.#failures === 0) await this.#send();
    tooLate.cancel();
    this.#dropped.ended += this.#queue.take(TRACE_LIMITS.spanExportBytesMax * 2)?.spans ?? 0;
    this.#options.calls.close();
  }

  #later(delayMs: number): void {
    this.#timer = this.#options.clock.setTimer(delayMs, () => {
      this.#timer = null;
      this.#sending = this.#send().finally(() => {
        this.#sending = null;
        if (this.#isClosed || this.#timer !== null || this.#queue.bytes === 0) return;
        this.#later(this.#failures > 0 ? this.#backoffMs() : TRACE_LIMITS.spanExportGatherMs);
      });
    });
  }

  /** With jitter: when a control plane comes back, not all sidecars should be at the door at once. */
  #backoffMs(): number {
    const { spanExportRetryMs, spanExportRetryMsMax } = TRACE_LIMITS;
    const mostMs = Math.min(spanExportRetryMsMax, spanExportRetryMs * 2 ** (this.#failures - 1));
    return mostMs * (0.5 + this.#options.random.float() / 2);
  }

  /** Everything that waits, or until something goes wrong. */
  async #send(): Promise<void> {
    try {
      while (!this.#giveUp.signal.aborted && (await this.#sendNext())) {}
    } catch (thrown) {
      this.#fail(toCardeaError(thrown).message);
    }
  }

  /** False: it did not go, or there was nothing. */
  async #sendNext(): Promise<boolean> {
    const batch = this.#queue.take(TRACE_LIMITS.spanExportRequestBytesMax);
    if (batch === null) return false;
    const outcome = await this.#options.calls.call(EXPORT_TRACES, this.#requestOf(batch), this.#giveUp.signal);
    if (outcome.at === "failed" && !isForGood(outcome.status)) {
      this.#queue.giveBack(batch);
      this.#fail(`${outcome.status.message} (gRPC status ${outcome.status.code})`);
      return false;
    }
    if (this.#failures > 0) this.#options.logger.log("info", "span-export-again", { failures: this.#failures });
    this.#failures = 0;
    this.#count(batch, outcome.at === "failed" ? batch.spans : refusedIn(outcome.message));
    return true;
  }

  /** Of traces the messages around the records have the numbers that those of logs have. */
  #requestOf({ bytes }: SpanBatch): readonly Buffer[] {
    const { resource, version } = this.#options;
    const scope = scopeHead(version, bytes.length);
    return [resourceHead(resource, scope.length + bytes.length), scope, bytes];
  }

  #count({ spans }: SpanBatch, refused: number): void {
    const lost = Math.min(refused, spans);
    this.#dropped.refused += lost;
    this.#exported += spans - lost;
  }

  #fail(error: string): void {
    this.#failures++;
    if (this.#failures === 1) this.#options.logger.log("warn", "span-export", { error });
  }
}

/** OTLP: what will go no better another time. */
const FOR_GOOD: ReadonlySet<number> = new Set([
  GRPC.INVALID_ARGUMENT,
  GRPC.PERMISSION_DENIED,
  GRPC.UNIMPLEMENTED,
  GRPC.INTERNAL,
]);

function isForGood({ code }: GrpcStatus): boolean {
  return FOR_GOOD.has(code);
}

function refusedIn(answer: Buffer): number {
  try {
    return EXPORT_TRACES_RESPONSE.deserialize(answer).partialSuccess?.rejectedSpans ?? 0;
  } catch {
    // Whoever answers nonsense has taken the request for all we know.
    return 0;
  }
}
