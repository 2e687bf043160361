import { EXPORT_LOGS, EXPORT_LOGS_RESPONSE } from "../../api/otlp-messages.ts";
import { toCardeaError } from "../../core/errors.ts";
import { FLOW_LIMITS } from "../../core/flow-limits.ts";
import type { Clock, Logger, Random, Timer } from "../../core/ports.ts";
import type { FlowRecord, FlowSink } from "../../observe/flow.ts";
import { FlowLogWriter } from "../../observe/otlp-flow.ts";
import { LOG_RECORD_TAG, type OtlpResource, resourceHead, scopeHead } from "../../observe/otlp-request.ts";
import { GRPC, type GrpcStatus } from "../../wire/grpc-status.ts";
import { ProtobufBytes } from "../../wire/protobuf-bytes.ts";
import type { UnaryOutcome } from "../calls/unary-call.ts";
import { ExportQueue, type QueuedBatch } from "./export-queue.ts";
import { Losses, type LossReason } from "./losses.ts";
import type { Spill } from "./spill.ts";

/** One call of `path` to the collector, its request in pieces; never rejects. `close` ends what it stands on. */
export interface CollectorCalls {
  call(path: string, request: readonly Buffer[], signal: AbortSignal): Promise<UnaryOutcome>;
  close(): void;
}

export interface FlowExporterOptions {
  readonly calls: CollectorCalls;
  /** Where denials wait that memory has no room for; null: nowhere. */
  readonly spill: Spill | null;
  readonly resource: OtlpResource;
  readonly version: string;
  /** Of flows that were simply allowed, one in so many is sent; 1: all. */
  readonly sampleOneIn: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/**
 * Sends flow records to the collector, apart from the data path: whoever records a flow waits for nothing. What there is no
 * room for is dropped and counted, what was let through before what was denied.
 */
export class FlowExporter implements FlowSink {
  readonly #options: FlowExporterOptions;
  readonly #losses = new Losses();
  readonly #queue: ExportQueue;
  readonly #giveUp = new AbortController();
  #exported = 0;
  #timer: Timer | null = null;
  #sending: Promise<void> | null = null;
  #spilling: Promise<void> | null = null;
  #failures = 0;
  /** The last request was refused for good: losses are told with the next one that has something in it. */
  #isRefused = false;
  #isClosed = false;

  constructor(options: FlowExporterOptions) {
    this.#options = options;
    const bounds = {
      bytesMax: FLOW_LIMITS.flowExportBytesMax,
      reservedBytes: FLOW_LIMITS.flowExportReservedBytes,
      sampleOneIn: options.sampleOneIn,
    };
    const writer = new FlowLogWriter("grouped", options.version);
    this.#queue = new ExportQueue(bounds, writer, this.#losses);
    // An earlier process may have left some on the disk.
    if (options.spill?.isEmpty === false) this.#later(FLOW_LIMITS.flowExportGatherMs);
  }

  /** Records that the collector has, and those that it will never have, by reason. */
  get counts(): { readonly exported: number; readonly dropped: Readonly<Record<LossReason, number>> } {
    return { exported: this.#exported, dropped: this.#losses.totals };
  }

  record(flow: FlowRecord): void {
    if (this.#isClosed) {
      this.#losses.flow("ended", flow);
      return;
    }
    this.#queue.add(flow);
    if (this.#failures > 0) this.#spillSpare();
    else if (this.#timer === null && this.#sending === null) this.#later(FLOW_LIMITS.flowExportGatherMs);
  }

  /** Sends what waits, as long as that goes well and `FLOW_LIMITS.flowExportDrainMs` lets it; denials that remain go to the disk. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    const tooLate = this.#options.clock.setTimer(FLOW_LIMITS.flowExportDrainMs, () => this.#giveUp.abort());
    await this.#sending;
    if (this.#failures === 0) await this.#send();
    tooLate.cancel();
    await this.#spilling;
    await this.#spillWhile(() => this.#queue.denialBytes > 0);
    const all = FLOW_LIMITS.flowExportBytesMax;
    for (let batch = this.#queue.take(all); batch !== null; batch = this.#queue.take(all))
      this.#losses.batch("ended", batch.isDenials ? "denied" : "allowed", batch.records);
    this.#options.calls.close();
    await this.#options.spill?.close();
  }

  get #hasToTell(): boolean {
    return this.#losses.hasUntold && !this.#isRefused;
  }

  #later(delayMs: number): void {
    this.#timer = this.#options.clock.setTimer(delayMs, () => {
      this.#timer = null;
      this.#sending = this.#send()
        .catch((thrown: unknown) => {
          this.#failures++;
          this.#options.logger.log("error", "flow-export", { error: toCardeaError(thrown).message });
        })
        .finally(() => {
          this.#sending = null;
          this.#goOn();
        });
    });
  }

  #goOn(): void {
    if (this.#isClosed || this.#timer !== null) return;
    if (this.#failures > 0) this.#later(this.#backoffMs());
    else if (this.#queue.bytes > 0 || this.#hasToTell) this.#later(FLOW_LIMITS.flowExportGatherMs);
  }

  /** With jitter: when a collector comes back, not all sidecars should be at the door at once. */
  #backoffMs(): number {
    const mostMs = Math.min(
      FLOW_LIMITS.flowExportRetryMsMax,
      FLOW_LIMITS.flowExportRetryMs * 2 ** (this.#failures - 1),
    );
    return mostMs * (0.5 + this.#options.random.float() / 2);
  }

  /** Everything that waits, or until something goes wrong. */
  async #send(): Promise<void> {
    while (!this.#giveUp.signal.aborted && (await this.#sendNext())) {}
    if (this.#failures > 0) this.#spillSpare();
  }

  /** False: it did not go, or there was nothing. What is on the disk is older than what is in memory. */
  async #sendNext(): Promise<boolean> {
    const { spill } = this.#options;
    const spilled = (await spill?.peek(FLOW_LIMITS.flowExportRequestBytesMax)) ?? null;
    if (spilled !== null) {
      if (!(await this.#sendBatch({ ...spilled, isDenials: true }))) return false;
      await spill!.drop(spilled);
      return true;
    }
    const batch = this.#queue.take(FLOW_LIMITS.flowExportRequestBytesMax);
    if (batch === null && !this.#hasToTell) {
      this.#failures = 0;
      return false;
    }
    const isSent = await this.#sendBatch(batch);
    if (batch === null) return isSent;
    // The collector has read it to its end, or will never.
    if (isSent) this.#queue.release(batch);
    else this.#queue.giveBack(batch);
    return isSent;
  }

  /** Whether it need not be sent again. */
  async #sendBatch(batch: QueuedBatch | null): Promise<boolean> {
    const { calls, clock } = this.#options;
    const told = this.#losses.tell(clock.wallMs());
    const outcome = await calls.call(EXPORT_LOGS, this.#requestOf(batch, told.records), this.#giveUp.signal);
    if (outcome.at === "failed" && isWorthRetrying(outcome.status)) {
      told.untell();
      this.#fail(outcome.status);
      return false;
    }
    if (this.#failures > 0) this.#options.logger.log("info", "flow-export-again", { failures: this.#failures });
    this.#failures = 0;
    this.#isRefused = outcome.at === "failed";
    if (this.#isRefused) told.untell();
    const records = batch?.records ?? 0;
    const refused = outcome.at === "failed" ? records : refusedIn(outcome.message);
    this.#exported += Math.max(0, records - refused);
    // What is refused is ours to tell of again, but never the refusal of that: it would not end.
    if (refused > 0 && records > 0)
      this.#losses.batch("refused", batch?.isDenials === true ? "denied" : "allowed", Math.min(refused, records));
    return true;
  }

  #requestOf(batch: QueuedBatch | null, losses: readonly ProtobufBytes[]): readonly Buffer[] {
    const { resource, version } = this.#options;
    const pieces = batch?.pieces.map(({ bytes }) => bytes) ?? [];
    const told = losses.length === 0 ? EMPTY : scopeOf(version, losses);
    const head = resourceHead(resource, (batch?.bytes ?? 0) + told.length);
    return [head, ...pieces, ...(told.length === 0 ? [] : [told])];
  }

  #fail({ code, message }: GrpcStatus): void {
    this.#failures++;
    if (this.#failures === 1)
      this.#options.logger.log("warn", "flow-export", { error: `${message} (gRPC status ${code})` });
  }

  /** Denials beyond their reserve: a collector that is away for long must not cost one. */
  #spillSpare(): void {
    if (this.#options.spill === null || this.#spilling !== null || !this.#queue.hasDenialsToSpare) return;
    this.#spilling = this.#spillWhile(() => this.#queue.hasDenialsToSpare).finally(() => {
      this.#spilling = null;
    });
  }

  async #spillWhile(isWanted: () => boolean): Promise<void> {
    const { spill, logger } = this.#options;
    if (spill === null) return;
    while (isWanted()) {
      const batch = this.#queue.takeDenials(SPILLED_BYTES);
      if (batch === null) return;
      const isPut = await spill.put(batch).catch((thrown: unknown) => {
        logger.log("error", "flow-spill", { error: toCardeaError(thrown).message });
        return false;
      });
      if (isPut) {
        this.#queue.release(batch);
        continue;
      }
      // It stays in memory as long as that has room: the queue drops and counts by itself.
      this.#queue.giveBack(batch);
      return;
    }
  }
}

/** What is put on the disk at a time. */
const SPILLED_BYTES = 65_536;
const EMPTY = Buffer.alloc(0);

function scopeOf(version: string, losses: readonly ProtobufBytes[]): Buffer {
  const records = new ProtobufBytes();
  for (const { bytes, length } of losses) {
    records.octet(LOG_RECORD_TAG);
    records.varint(length);
    records.copy(bytes, length);
  }
  return Buffer.concat([scopeHead(version, records.length), records.take()]);
}

/** OTLP: what may go well another time. A certificate that has just ended is renewed by then. */
const RETRYABLE: ReadonlySet<number> = new Set([
  GRPC.CANCELLED,
  GRPC.DEADLINE_EXCEEDED,
  GRPC.RESOURCE_EXHAUSTED,
  GRPC.ABORTED,
  GRPC.OUT_OF_RANGE,
  GRPC.UNAVAILABLE,
  GRPC.DATA_LOSS,
  GRPC.UNAUTHENTICATED,
  GRPC.UNKNOWN,
]);

function isWorthRetrying({ code }: GrpcStatus): boolean {
  return RETRYABLE.has(code);
}

function refusedIn(answer: Buffer): number {
  try {
    return EXPORT_LOGS_RESPONSE.deserialize(answer).partialSuccess?.rejectedLogRecords ?? 0;
  } catch {
    // A collector that answers nonsense has taken the request for all we know.
    return 0;
  }
}
