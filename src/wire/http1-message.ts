import type { CardeaError } from "../core/errors.ts";
import type { TargetForm } from "./request-target.ts";

/** How a message's body ends. `until-close` is for responses alone. RFC 9112 section 6.3. */
export type BodyFraming =
  | { readonly kind: "none" }
  | { readonly kind: "length"; readonly bytes: number }
  | { readonly kind: "chunked" }
  | { readonly kind: "until-close" };

export interface RequestHead {
  readonly method: string;
  /** The request-target as received. */
  readonly target: string;
  readonly targetForm: TargetForm;
  readonly minorVersion: 0 | 1;
  /** Flat name, value list, names as received. The caller may change it. */
  readonly headers: string[];
  /**
   * The authority in force, as received: absolute-form and authority-form override Host (RFC 9112 section 3.2.2), so
   * forward this one. Null for HTTP/1.0 without Host.
   */
  readonly host: string | null;
  /** Raw path and query, to normalise, match and forward: `*` for OPTIONS *, empty for CONNECT. */
  readonly path: string;
  readonly framing: BodyFraming;
  readonly isKeepAlive: boolean;
  /** What Upgrade asks for, in lower case, when Connection says upgrade; several are joined by ", ". */
  readonly upgrade: string | null;
  /** Expect: 100-continue, by an HTTP/1.1 client that has a body to send. */
  readonly expectsContinue: boolean;
  /** Lower-case names that Connection nominates, to be stripped besides the fixed list (hop-by-hop.ts). */
  readonly nominated: readonly string[];
  /** Over HTTP/2: names in lower case that the sender wants no hop to index. RFC 7541 section 7.1.3. */
  readonly neverIndexed?: readonly string[] | null;
}

export interface ResponseHead {
  readonly status: number;
  readonly reason: string;
  readonly minorVersion: 0 | 1;
  /** Flat name, value list, names as received. The caller may change it. */
  readonly headers: string[];
  readonly framing: BodyFraming;
  readonly isKeepAlive: boolean;
  /** The protocol that a 101 switches to, in lower case. */
  readonly upgrade: string | null;
  readonly nominated: readonly string[];
  /** Over HTTP/2: names in lower case that the sender wants no hop to index. RFC 7541 section 7.1.3. */
  readonly neverIndexed?: readonly string[] | null;
}

/** `bytes` is the head's length in octets; what follows it in the buffer is body or the next message. */
export type HeadResult<T> =
  | { readonly at: "incomplete" }
  | { readonly at: "head"; readonly head: T; readonly bytes: number }
  | { readonly at: "refused"; readonly error: CardeaError };

/** Frozen, so that heads can share them. */
export const NO_BODY: BodyFraming = Object.freeze({ kind: "none" });
export const CHUNKED: BodyFraming = Object.freeze({ kind: "chunked" });
export const UNTIL_CLOSE: BodyFraming = Object.freeze({ kind: "until-close" });
export const INCOMPLETE = Object.freeze({ at: "incomplete" } as const);
