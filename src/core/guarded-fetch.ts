/** What may be fetched from places that documents name. Whoever writes a document must not make us call what only we reach. */
export interface FetchRules {
  /** Plain http as well, for a provider in the same private network. */
  readonly allowHttp: boolean;
  /** Address ranges that are fetched from though they are loopback, link-local or a cloud's metadata. */
  readonly allowAddresses: readonly string[];
  /** PEM, an absolute path: authorities that are believed besides the well-known ones, of a provider of one's own. */
  readonly caFile: string | null;
}

export const STRICT_FETCH_RULES: FetchRules = { allowHttp: false, allowAddresses: [], caFile: null };

export interface FetchedText {
  readonly body: string;
  /** By Cache-Control; null: not said. */
  readonly maxAgeMs: number | null;
}

/** One GET of a text. Errors: `unreachable`, in words that say what stood in the way. */
export type GuardedFetch = (
  url: string,
  bounds: { readonly timeoutMs: number; readonly bytesMax: number },
) => Promise<FetchedText>;
