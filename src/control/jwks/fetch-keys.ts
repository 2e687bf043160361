import { CardeaError } from "../../core/errors.ts";
import type { GuardedFetch } from "../../core/guarded-fetch.ts";
import { memberOf } from "../../core/json-value.ts";
import { LIMITS } from "../../core/limits.ts";
import { parseStrictJson } from "../../core/strict-json.ts";
import type { FetchedSource } from "../../policy/authentication/key-source.ts";
import { parseKeySet } from "../../policy/authentication/key-set.ts";

/** A key set as it was fetched and found good. */
export interface FetchedKeySet {
  readonly jwks: string;
  /** For how long its server wants it kept; null: not said. */
  readonly maxAgeMs: number | null;
}

/**
 * The keys of a source: from its URL, or from where the issuer's own metadata says (OpenID Connect Discovery 1.0 section 4).
 * Errors: `unreachable`, `bad-input`.
 */
export async function fetchKeys(
  source: FetchedSource,
  timeoutMs: number,
  fetchText: GuardedFetch,
): Promise<FetchedKeySet> {
  const uri = source.from === "uri" ? source.uri : await discover(source.issuer, timeoutMs, fetchText);
  const { body, maxAgeMs } = await fetchText(uri, { timeoutMs, bytesMax: LIMITS.jwksBytesMax });
  try {
    parseKeySet(body);
  } catch (thrown) {
    throw bad(`${uri} gives no usable keys: ${thrown instanceof Error ? thrown.message : String(thrown)}`, thrown);
  }
  return { jwks: body, maxAgeMs };
}

async function discover(issuer: string, timeoutMs: number, fetchText: GuardedFetch): Promise<string> {
  if (!URL.canParse(issuer) || !/^https?:/.test(issuer)) throw bad("the issuer is no URL, so that it cannot be asked");
  const place = `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
  const { body } = await fetchText(place, { timeoutMs, bytesMax: LIMITS.jwksBytesMax });
  const metadata = parse(body, place);
  // Another issuer's metadata would make its keys vouch for this one. Section 4.3.
  const stated = memberOf(metadata, "issuer");
  if (stated !== issuer) throw bad(`${place} is of the issuer ${JSON.stringify(stated ?? null).slice(0, 200)}`);
  const uri = memberOf(metadata, "jwks_uri");
  if (typeof uri === "string" && URL.canParse(uri)) return uri;
  throw bad(`${place} names no jwks_uri`);
}

function parse(body: string, place: string) {
  try {
    return parseStrictJson(body);
  } catch (thrown) {
    throw bad(`${place} is not JSON`, thrown);
  }
}

function bad(message: string, cause?: unknown): CardeaError {
  return new CardeaError("bad-input", message, cause);
}
