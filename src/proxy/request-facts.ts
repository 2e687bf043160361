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
  /** Which fields say what tokens said, in lower case; left out: none do. */
  readonly userFields?: ReadonlySet<string> | undefined;
  /** Whoever was asked outside, and let it pass; left out: nobody was. */
  readonly answeredBy?: string | null | undefined;
}

/** Who a request is made for: what its token says, and the fields that tell the app so. */
export interface RequestUser {
  readonly claims: Claims | null;
  /** Name, value, name, value. */
  readonly fields: Headers;
}

/** A request as policies see it: the very bytes that are forwarded. Kept, so that a new policy can be asked again. */
export class SeenRequest implements RequestFacts {
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly claims: Claims | null;
  readonly answeredBy: string | null;
  readonly #userFields: ReadonlySet<string>;
  readonly #headers: Headers;
  readonly #length: number;

  constructor({ method, path, host, headers, claims, userFields = NO_FIELDS, answeredBy = null }: SeenRequestParts) {
    this.claims = claims;
    this.answeredBy = answeredBy;
    this.#userFields = userFields;
    this.method = method;
    this.path = path;
    this.host = host;
    this.#headers = headers;
    this.#length = headers.length;
  }

  header(lowerName: string): string | undefined {
    return joinedHeader(this.#headers, lowerName, this.#length);
  }

  /** The same request for another user, or for none: nothing of what the first one's token said is left in it. */
  madeFor({ claims, fields }: RequestUser): SeenRequest {
    const headers: string[] = [];
    for (let i = 0; i < this.#length; i += 2)
      if (!this.#userFields.has(this.#headers[i]!.toLowerCase()))
        headers.push(this.#headers[i]!, this.#headers[i + 1]!);
    headers.push(...fields);
    const { method, path, host, answeredBy } = this;
    return new SeenRequest({ method, path, host, headers, claims, answeredBy });
  }
}

const NO_FIELDS: ReadonlySet<string> = new Set();

/** A request that nobody vouches for. */
export const NO_USER: RequestUser = Object.freeze({ claims: null, fields: [] });
