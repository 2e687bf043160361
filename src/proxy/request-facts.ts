import type { Claims } from "../policy/claims.ts";
import type { RequestFacts } from "../policy/facts.ts";
import type { Headers } from "../wire/headers.ts";
import { joinedHeader } from "./headers.ts";

interface SeenRequestParts {
  readonly method: string;
  /** Normalised, without query. */
  readonly path: string;
  readonly host: string;
  /** As they are forwarded; what is added to them later is not the caller's. */
  readonly headers: Headers;
  /** Of the token that was verified; null: there is none. */
  readonly claims: Claims | null;
}

/** A request as policies see it: the very bytes that are forwarded. Kept, so that a new policy can be asked again. */
export class SeenRequest implements RequestFacts {
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly claims: Claims | null;
  readonly #headers: Headers;
  readonly #length: number;

  constructor({ method, path, host, headers, claims }: SeenRequestParts) {
    this.claims = claims;
    this.method = method;
    this.path = path;
    this.host = host;
    this.#headers = headers;
    this.#length = headers.length;
  }

  header(lowerName: string): string | undefined {
    return joinedHeader(this.#headers, lowerName, this.#length);
  }
}
