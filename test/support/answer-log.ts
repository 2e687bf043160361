import type { CardeaError } from "../../src/core/errors.ts";
import type { AnswerEvents, RequestFate } from "../../src/proxy/streams.ts";
import type { Headers } from "../../src/wire/headers.ts";
import type { ResponseHead } from "../../src/wire/http1-head.ts";

/** Keeps what comes of a request, as words: `head 200`, `end`, `failure upstream-reset stale`. */
export class AnswerLog implements AnswerEvents {
  readonly words: string[] = [];
  head: ResponseHead | null = null;
  trailers: Headers = [];
  drains = 0;
  readonly #pieces: Buffer[] = [];

  get body(): Buffer {
    return Buffer.concat(this.#pieces);
  }

  onInformational(head: ResponseHead): void {
    this.words.push(`informational ${head.status}`);
  }

  onAnswer(head: ResponseHead): void {
    this.head = head;
    this.words.push(`head ${head.status}`);
  }

  onAnswerBody(piece: Buffer): void {
    this.#pieces.push(Buffer.from(piece));
  }

  onAnswerEnd(trailers: Headers): void {
    this.trailers = trailers;
    this.words.push("end");
  }

  onUpstreamDrain(): void {
    this.drains++;
  }

  onUpstreamFailure(error: CardeaError, fate: RequestFate): void {
    this.words.push(`failure ${error.code}${fate === "unknown" ? "" : ` ${fate}`}`);
  }
}
