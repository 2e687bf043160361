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
  readonly #held = new HeldOctets(LIMITS.headBytesMax);

  /** Octets of the unfinished head: 0 between two messages. */
  get heldBytes(): number {
    return this.#held.bytes;
  }

  feed(chunk: Buffer): HeadReading<RequestHead> {
    const before = this.#held.bytes;
    const buffer = before === 0 ? chunk : this.#held.append(chunk);
    const result = continueRequest(this.#scan, buffer, before + chunk.length);
    if (result.at === "incomplete") {
      if (before === 0) this.#held.append(chunk);
      return result;
    }
    this.#held.clear();
    this.#scan.reset();
    return result.at === "head" ? withRest(result, chunk, before) : result;
  }
}

/** As RequestHeadReader; `forMethod` is the method of the request that is being answered. */
export class ResponseHeadReader {
  readonly #scan: ResponseScan = createResponseScan();
  readonly #held = new HeldOctets(LIMITS.headBytesMax);

  get heldBytes(): number {
    return this.#held.bytes;
  }

  feed(chunk: Buffer, forMethod: string): HeadReading<ResponseHead> {
    const before = this.#held.bytes;
    const buffer = before === 0 ? chunk : this.#held.append(chunk);
    const result = continueResponse(this.#scan, buffer, before + chunk.length, forMethod);
    if (result.at === "incomplete") {
      if (before === 0) this.#held.append(chunk);
      return result;
    }
    this.#held.clear();
    this.#scan.reset();
    return result.at === "head" ? withRest(result, chunk, before) : result;
  }
}

function withRest<T>(result: { head: T; bytes: number }, chunk: Buffer, before: number): HeadReading<T> {
  return { at: "head", head: result.head, bytes: result.bytes, rest: chunk.subarray(result.bytes - before) };
}
