import { sign } from "node:crypto";
import { LIMITS } from "../../core/limits.ts";
import type { Clock } from "../../core/ports.ts";
import type { SpiffeId } from "../../core/spiffe-id.ts";
import type { JwtKeys } from "./jwt-keys.ts";

export interface JwtRequest {
  /** From the attestation. */
  readonly spiffeId: SpiffeId;
  /** At least one. */
  readonly audiences: readonly string[];
}

export interface IssuedJwt {
  /** JWS compact serialization. */
  readonly token: string;
  readonly issuedAtSec: number;
  readonly expiresAtSec: number;
}

/** Signs a JWT-SVID. Errors: `bad-input` when the state is damaged. */
export type IssueJwt = (request: JwtRequest) => Promise<IssuedJwt>;

/** ES256, short-lived, nothing in it but what the specification wants. JWT-SVID sections 2 and 3. */
export function createJwtIssuer({ keys, clock }: { readonly keys: JwtKeys; readonly clock: Clock }): IssueJwt {
  return async ({ spiffeId, audiences }) => {
    const { keyId, privateKey } = await keys.current();
    const issuedAtSec = Math.floor(clock.wallMs() / 1_000);
    const expiresAtSec = issuedAtSec + LIMITS.jwtSvidTtlMs / 1_000;
    const header = { alg: "ES256", kid: keyId, typ: "JWT" };
    const claims = { sub: spiffeId, aud: audiences, iat: issuedAtSec, exp: expiresAtSec };
    const input = `${encode(header)}.${encode(claims)}`;
    // JWS wants both numbers side by side, not as ASN.1. RFC 7518 section 3.4.
    const signature = sign("sha256", Buffer.from(input), { key: privateKey, dsaEncoding: "ieee-p1363" });
    return { token: `${input}.${signature.toString("base64url")}`, issuedAtSec, expiresAtSec };
  };
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}
