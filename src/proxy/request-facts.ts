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
}

/** A request as policies see it: the very bytes that are forwarded. Kept, so that a new policy can be asked again. */
export class SeenRequest implements RequestFacts {
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly #headers: Headers;
  readonly #length: number;

  constructor({ method, path, host, headers }: SeenRequestParts) {
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
