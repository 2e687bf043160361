import { LIMITS } from "../core/limits.ts";
import { HeldOctets } from "./held-octets.ts";
import type { HeadResult, RequestHead, ResponseHead } from "./http1-message.ts";
import { continueRequest, createRequestScan, type RequestScan } from "./request-head.ts";
import { continueResponse, createResponseScan, type ResponseScan } from "./response-head.ts";

/** Like HeadResult; `rest` is what the last chunk holds behind the head (a subarray, perhaps empty). */
export type HeadReading<T> =
  | Exclude<HeadResult<T>, { at: "head" }>
  | { readonly at: "head"; readonly head: T; readonly bytes: number; readonly rest: Buffer };

/**
 * Reads one head after the other from chunks as they arrive, each octet looked at once; copies only heads that come in
 * pieces. After "head" the next one begins: feed what follows the message's body. After "refused" it is of no more use.
 */
export class RequestHeadReader {
  readonly #scan: RequestScan = createRequestScan();
  readonly #input = new HeadInput();

  /** Octets of the unfinished head: 0 between two messages. */
  get heldBytes(): number {
    return this.#input.heldBytes;
  }

  feed(chunk: Buffer): HeadReading<RequestHead> {
    const buffer = this.#input.join(chunk);
    const result = continueRequest(this.#scan, buffer, this.#input.heldBytes + chunk.length);
    return this.#input.settle(result, chunk, this.#scan);
  }
}

/** As RequestHeadReader; `forMethod` is the method of the request that is being answered. */
export class ResponseHeadReader {
  readonly #scan: ResponseScan = createResponseScan();
  readonly #input = new HeadInput();

  get heldBytes(): number {
    return this.#input.heldBytes;
  }

  feed(chunk: Buffer, forMethod: string): HeadReading<ResponseHead> {
    const buffer = this.#input.join(chunk);
    const result = continueResponse(this.#scan, buffer, this.#input.heldBytes + chunk.length, forMethod);
    return this.#input.settle(result, chunk, this.#scan);
  }
}

/** What has come of the head under way, in one buffer from its first octet on. */
class HeadInput {
  readonly #held = new HeldOctets(LIMITS.headBytesMax);
  /** Octets that were held before the chunk that is being looked at. */
  #heldBytes = 0;

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Most heads come in one chunk, which is looked at where it lies. */
  join(chunk: Buffer): Buffer {
    return this.#heldBytes === 0 ? chunk : this.#held.append(chunk);
  }

  settle<T>(result: HeadResult<T>, chunk: Buffer, scan: { reset(): void }): HeadReading<T> {
    const before = this.#heldBytes;
    if (result.at === "incomplete") {
      if (before === 0) this.#held.append(chunk);
      this.#heldBytes = this.#held.bytes;
      return result;
    }
    this.#held.clear();
    this.#heldBytes = 0;
    scan.reset();
    if (result.at === "refused") return result;
    return { at: "head", head: result.head, bytes: result.bytes, rest: chunk.subarray(result.bytes - before) };
  }
}
