import { CardeaError } from "../core/errors.ts";
import { isJsonList, type JsonObject, type JsonValue, memberOf } from "../core/json-value.ts";
import type { TrustDomain } from "../core/spiffe-id.ts";
import { parseTrustBundle, type TrustBundle } from "./bundle.ts";
import { jwksMembers, parseJwtBundle, type TokenKey } from "./jwks.ts";
import { encodePem } from "./pem.ts";

/** What vouches for a trust domain, in SPIFFE's own format. */
export interface SpiffeBundle {
  /** Null: the domain issues no certificates. */
  readonly x509: TrustBundle | null;
  readonly jwtKeys: readonly TokenKey[];
  /** Grows with each change; null: not told. */
  readonly sequence: number | null;
  /** How often it should be asked for, seconds; null: not told. */
  readonly refreshHintSec: number | null;
}

/** A JWK Set with SPIFFE's members → SpiffeBundle. SPIFFE Trust Domain and Bundle section 4. Errors: `bad-input`. */
export function parseSpiffeBundle(trustDomain: TrustDomain, text: string): SpiffeBundle {
  const keys = jwksMembers(text);
  // Section 4.2.2: keys of other uses, or of none, are ignored: nobody knows what they vouch for.
  const roots = keys.filter((jwk) => memberOf(jwk, "use") === "x509-svid").map(rootOf);
  const pem = roots.map((der) => encodePem("CERTIFICATE", der)).join("");
  const document = JSON.parse(text) as JsonValue;
  return {
    x509: pem === "" ? null : parseTrustBundle(trustDomain, pem),
    jwtKeys: parseJwtBundle(JSON.stringify({ keys: keys.filter((jwk) => memberOf(jwk, "use") === "jwt-svid") })),
    sequence: wholeNumber(document, "spiffe_sequence"),
    refreshHintSec: wholeNumber(document, "spiffe_refresh_hint"),
  };
}

/** Section 4.2.3 and X509-SVID section 6.1: exactly one certificate, the root itself. */
function rootOf(jwk: JsonObject): Buffer {
  const chain = memberOf(jwk, "x5c");
  if (!isJsonList(chain) || chain.length !== 1 || typeof chain[0] !== "string")
    throw refused("a key for X.509-SVIDs does not have exactly one certificate (x5c)");
  const der = Buffer.from(chain[0], "base64");
  if (der.toString("base64") !== chain[0]) throw refused("a certificate is not base64");
  return der;
}

function wholeNumber(document: JsonValue, name: string): number | null {
  const value = memberOf(document, name);
  if (value === undefined) return null;
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw refused(`${name} is no whole number`);
}

function refused(why: string): CardeaError {
  return new CardeaError("bad-input", `the bundle cannot be read: ${why}`);
}
