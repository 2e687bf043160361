import { LIMITS } from "../core/limits.ts";
import { HeldOctets } from "./held-octets.ts";
import { type HeadResult, type RequestHead, RequestScan, type ResponseHead, ResponseScan } from "./http1-head.ts";

/** Like HeadResult; `rest` is what the last chunk holds behind the head (a subarray, perhaps empty). */
export type HeadReading<T> =
  | Exclude<HeadResult<T>, { at: "head" }>
  | { readonly at: "head"; readonly head: T; readonly bytes: number; readonly rest: Buffer };

/**
 * Reads one head after the other from chunks as they arrive, each octet looked at once, copying only heads that come
 * in pieces. After "head" the next one begins: feed `rest` when the message's body has been taken off it.
 * After "refused" it is of no more use.
 */
export class RequestHeadReader {
  readonly #held = new HeldOctets(LIMITS.headBytesMax);
  #scan: RequestScan | null = null;

  /** Octets of the unfinished head: 0 between two messages. */
  get heldBytes(): number {
    return this.#held.bytes;
  }

  feed(chunk: Buffer): HeadReading<RequestHead> {
    const scan = (this.#scan ??= new RequestScan());
    const before = this.#held.bytes;
    const buffer = before === 0 ? chunk : this.#held.append(chunk);
    const result = scan.scan(buffer, before + chunk.length);
    if (result.at === "incomplete") {
      if (before === 0) this.#held.append(chunk);
      return result;
    }
    this.#held.clear();
    scan.reset();
    return result.at === "head" ? { ...result, rest: chunk.subarray(result.bytes - before) } : result;
  }
}

/** As RequestHeadReader; `forMethod` is the request's that is being answered. */
export class ResponseHeadReader {
  readonly #held = new HeldOctets(LIMITS.headBytesMax);
  #scan: ResponseScan | null = null;

  get heldBytes(): number {
    return this.#held.bytes;
  }

  feed(chunk: Buffer, forMethod: string): HeadReading<ResponseHead> {
    const scan = (this.#scan ??= new ResponseScan());
    const before = this.#held.bytes;
    const buffer = before === 0 ? chunk : this.#held.append(chunk);
    const result = scan.scan(buffer, before + chunk.length, forMethod);
    if (result.at === "incomplete") {
      if (before === 0) this.#held.append(chunk);
      return result;
    }
    this.#held.clear();
    scan.reset();
    return result.at === "head" ? { ...result, rest: chunk.subarray(result.bytes - before) } : result;
  }
}
