import { createHash, timingSafeEqual } from "node:crypto";
import { CardeaError } from "../../core/errors.ts";
import type { ReadableNamespaces } from "../flows/query.ts";

/** Who looks at the map, and what of it may be seen. */
export interface Reader {
  readonly namespaces: ReadableNamespaces;
}

/**
 * Who asks, by the `authorization` field of a request; null: nobody who may. A cluster's would ask the API server
 * (TokenReview, then which namespaces' flows SubjectAccessReview grants); there is none yet, and no map in Kubernetes.
 */
export type Authenticate = (authorization: string | undefined) => Promise<Reader | null>;

/** For a loopback port: whoever is on this machine reads everything, as on the admin port. */
export const everybodyReads: Authenticate = () => Promise.resolve({ namespaces: "all" });

export interface TokenReader extends Reader {
  readonly token: string;
}

/** 128 bits as hexadecimal digits: what a guess over the network cannot find. */
const TOKEN_LENGTH_MIN = 32;

/** Whoever shows one of these tokens (RFC 6750). Errors: `bad-input` for one that could be guessed. */
export function tokenReaders(readers: readonly TokenReader[]): Authenticate {
  if (readers.length === 0) throw new CardeaError("bad-input", "the map has no reader's token");
  const known = readers.map(({ token, namespaces }) => {
    if (token.length < TOKEN_LENGTH_MIN)
      throw new CardeaError("bad-input", `a reader's token of the map is shorter than ${TOKEN_LENGTH_MIN} characters`);
    return { digest: digestOf(token), namespaces };
  });
  return (authorization) => {
    const [, token] = /^bearer ([\w.~+/=-]{1,4096})$/i.exec(authorization ?? "") ?? [];
    if (token === undefined) return Promise.resolve(null);
    const digest = digestOf(token);
    // All of them are compared, in the same time whichever it is.
    const found = known.filter((each) => timingSafeEqual(each.digest, digest));
    return Promise.resolve(found[0] === undefined ? null : { namespaces: found[0].namespaces });
  };
}

function digestOf(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}

/** Whether a reader may see what is in a namespace. */
export function mayReadNamespace({ namespaces }: Reader, namespace: string | null): boolean {
  return namespaces === "all" || (namespace !== null && namespaces.has(namespace));
}
