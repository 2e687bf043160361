import type { Random } from "../../core/ports.ts";
import type { RequestHead } from "../../wire/http1-head.ts";
import type { Caller, CookieKey } from "./hash-key.ts";

/** A request whose caller may be given the cookie by which it comes back to the same workload. */
export class SessionCaller implements Caller {
  readonly head: RequestHead;
  readonly sourceIp: string;
  /** For the answer; null where none had to be given. */
  setCookie: string | null = null;
  readonly #random: Random;

  constructor(head: RequestHead, sourceIp: string, random: Random) {
    this.head = head;
    this.sourceIp = sourceIp;
    this.#random = random;
  }

  /** RFC 6265 section 4.1; without a time to live it ends with the browser's session. */
  giveCookie({ name, path, ttlMs }: CookieKey): string {
    const value = this.#random.bytes(8).toString("hex");
    const age = ttlMs === null || ttlMs === 0 ? "" : `; Max-Age=${Math.ceil(ttlMs / 1_000)}`;
    this.setCookie = `${name}=${value}${age}${path === null ? "" : `; Path=${path}`}; HttpOnly`;
    return value;
  }
}
