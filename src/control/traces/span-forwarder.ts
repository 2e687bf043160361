import type { OtlpSender } from "../../core/otlp-endpoint.ts";
import type { Clock, Logger, Random, Timer } from "../../core/ports.ts";
import { TRACE_LIMITS } from "../../core/trace-limits.ts";

/** Is told of spans that came, and of their end. */
export interface SpanObserver {
  forwarded(spans: number): void;
  /** Not the sender's to tell, or malformed; the collector outside refuses them; nobody took them before the end. */
  dropped(reason: "rejected" | "refused" | "ended", spans: number): void;
}

export interface SpanForwarderOptions {
  readonly sender: OtlpSender;
  readonly observer: SpanObserver;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

interface Waiting {
  readonly request: Buffer;
  readonly spans: number;
}

/** Passes requests with spans on to the collector outside, one after the other, as they came. */
export class SpanForwarder {
  readonly #options: SpanForwarderOptions;
  readonly #waiting: Waiting[] = [];
  #bytes = 0;
  #failures = 0;
  #isSending = false;
  #retry: Timer | null = null;
  #isClosed = false;

  constructor(options: SpanForwarderOptions) {
    this.#options = options;
  }

  /** False: there is no room, and the sender had better wait. */
  add(request: Buffer, spans: number): boolean {
    if (this.#isClosed || this.#bytes + request.length > TRACE_LIMITS.spanForwardBytesMax) return false;
    this.#bytes += request.length;
    this.#waiting.push({ request, spans });
    if (!this.#isSending && this.#retry === null) void this.#sendAll();
    return true;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#retry?.cancel();
    for (const { spans } of this.#waiting.splice(0)) this.#options.observer.dropped("ended", spans);
    await this.#options.sender.close();
  }

  async #sendAll(): Promise<void> {
    this.#isSending = true;
    for (let [first] = this.#waiting; first !== undefined && (await this.#send(first)); [first] = this.#waiting);
    this.#isSending = false;
  }

  /** Whether it need not be sent again. */
  async #send(first: Waiting): Promise<boolean> {
    const { sender, observer, logger } = this.#options;
    const outcome = await sender.send(first.request, TRACE_LIMITS.spanForwardCallMs);
    if (this.#isClosed) return false;
    if (outcome.at === "failed" && !outcome.isForGood) {
      if (this.#failures++ === 0) logger.log("warn", "span-forward", { error: outcome.why });
      this.#again();
      return false;
    }
    if (outcome.at === "failed") logger.log("warn", "span-forward", { error: outcome.why });
    else if (this.#failures > 0) logger.log("info", "span-forward-again", { failures: this.#failures });
    this.#failures = 0;
    this.#waiting.shift();
    this.#bytes -= first.request.length;
    if (outcome.at === "failed") observer.dropped("refused", first.spans);
    else observer.forwarded(first.spans);
    return true;
  }

  #again(): void {
    const { clock, random } = this.#options;
    const { spanExportRetryMs, spanExportRetryMsMax } = TRACE_LIMITS;
    const mostMs = Math.min(spanExportRetryMsMax, spanExportRetryMs * 2 ** (this.#failures - 1));
    this.#retry = clock.setTimer(mostMs * (0.5 + random.float() / 2), () => {
      this.#retry = null;
      void this.#sendAll();
    });
  }
}
