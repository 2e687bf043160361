import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { JsonValue } from "../../../src/core/json-value.ts";
import { LIMITS } from "../../../src/core/limits.ts";
import { parseTrustDomain, type TrustDomain } from "../../../src/core/spiffe-id.ts";
import { encodeJwk, parseJwks, parseJwtBundle, type TokenKey } from "../../../src/pki/jwks.ts";
import { verifyClaims, verifyJws } from "../../../src/pki/jwt.ts";
import { verifyJwtSvid } from "../../../src/pki/jwt-svid.ts";
import { corpusPath } from "../../support/corpus.ts";

const NOW_SEC = 1_800_000_000;
const WEB = "spiffe://cluster.local/ns/shop/sa/web";
const CLAIMS = { sub: WEB, aud: ["reports"], exp: NOW_SEC + 300, iat: NOW_SEC };

const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
const ec384 = generateKeyPairSync("ec", { namedCurve: "P-384" });
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const ed = generateKeyPairSync("ed25519");
const KEYS: readonly TokenKey[] = [
  { keyId: "ec", algorithm: null, key: ec.publicKey },
  { keyId: "ec384", algorithm: null, key: ec384.publicKey },
  { keyId: "rsa", algorithm: null, key: rsa.publicKey },
  { keyId: "ed", algorithm: null, key: ed.publicKey },
];
const DOMAIN = parseTrustDomain("cluster.local");
const BUNDLES = new Map<TrustDomain, readonly TokenKey[]>([[DOMAIN, KEYS]]);
const FOR_REPORTS = { audiences: ["reports"], nowMs: NOW_SEC * 1_000, skewMs: 0 };

interface Made {
  readonly header?: object;
  readonly claims?: object;
  readonly key?: KeyObject;
  readonly sign?: (input: Buffer, key: KeyObject) => Buffer;
}

function make({
  header = { alg: "ES256", kid: "ec" },
  claims = CLAIMS,
  key = ec.privateKey,
  ...rest
}: Made = {}): string {
  const input = `${encode(header)}.${encode(claims)}`;
  const signer = rest.sign ?? ((bytes, with_) => sign("sha256", bytes, { key: with_, dsaEncoding: "ieee-p1363" }));
  return `${input}.${signer(Buffer.from(input), key).toString("base64url")}`;
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

function verify(token: string, expected = FOR_REPORTS) {
  return verifyJwtSvid(token, BUNDLES, expected);
}

describe("a JWT-SVID is accepted", () => {
  test("with the identity, the audiences and all claims", () => {
    expect(verify(make({ claims: { ...CLAIMS, team: "a" } }))).toEqual({
      spiffeId: WEB,
      audiences: ["reports"],
      notAfterMs: (NOW_SEC + 300) * 1_000,
      claims: { ...CLAIMS, team: "a" },
    });
  });

  test.each<[string, Made]>([
    ["without a kid", { header: { alg: "ES256" } }],
    ["with typ JWT", { header: { alg: "ES256", kid: "ec", typ: "JWT" } }],
    ["with typ JOSE", { header: { alg: "ES256", kid: "ec", typ: "JOSE" } }],
    ["for several audiences, ours among them", { claims: { ...CLAIMS, aud: ["x", "reports"] } }],
    ["for one audience as a text", { claims: { ...CLAIMS, aud: "reports" } }],
    ["in its last second", { claims: { ...CLAIMS, exp: NOW_SEC + 0.001 } }],
    [
      "by RS256",
      { header: { alg: "RS256", kid: "rsa" }, key: rsa.privateKey, sign: (input, key) => sign("sha256", input, key) },
    ],
    [
      "by PS256",
      {
        header: { alg: "PS256", kid: "rsa" },
        key: rsa.privateKey,
        sign: (input, key) => sign("sha256", input, { key, padding: 6, saltLength: 32 }),
      },
    ],
    [
      "by ES384",
      {
        header: { alg: "ES384", kid: "ec384" },
        key: ec384.privateKey,
        sign: (input, key) => sign("sha384", input, { key, dsaEncoding: "ieee-p1363" }),
      },
    ],
  ])("%s", (_name, made) => {
    expect(verify(make(made)).spiffeId).toBe(WEB);
  });
});

const none = (): Buffer => Buffer.from("x");
const [HEAD, BODY, TAIL] = make().split(".") as [string, string, string];

describe("a JWT-SVID is refused", () => {
  test.each<[string, Made | string, RegExp]>([
    ["that is empty", "", /compact form/],
    ["that is no token", "token", /compact form/],
    ["with two parts", `${HEAD}.${BODY}`, /compact form/],
    ["with four parts", `${HEAD}.${BODY}.${TAIL}.${TAIL}`, /compact form/],
    ["without a signature", `${HEAD}.${BODY}.`, /compact form/],
    ["as JSON", JSON.stringify({ payload: BODY, signatures: [] }), /compact form|base64url/],
    ["that is too long", `${HEAD}.${"A".repeat(LIMITS.tokenBytesMax)}.${TAIL}`, /longer than/],
    ["with padding", `${HEAD}=.${BODY}.${TAIL}`, /not base64url/],
    ["with the other alphabet of base64", `${HEAD}.${BODY}.${TAIL.slice(0, -2)}+/`, /not base64url/],
    ["with a line end", `${HEAD}\n.${BODY}.${TAIL}`, /not base64url/],
    ["with bits that stand for nothing", `${HEAD}.${BODY}.${lastBitsSet(TAIL)}`, /not base64url/],
    ["whose header is no JSON", `${Buffer.from("{").toString("base64url")}.${BODY}.${TAIL}`, /header is not JSON/],
    ["whose header is a list", `${encode([])}.${BODY}.${TAIL}`, /no JSON object/],
    [
      "whose header is not UTF-8",
      `${Buffer.from([0x7b, 0xff, 0x7d]).toString("base64url")}.${BODY}.${TAIL}`,
      /not JSON/,
    ],
    ["of alg none", { header: { alg: "none", kid: "ec" }, sign: none }, /"none" is not accepted/],
    ["of alg None", { header: { alg: "None", kid: "ec" }, sign: none }, /"None" is not accepted/],
    ["without alg", { header: { kid: "ec" } }, /null is not accepted/],
    ["of an alg that every object has", { header: { alg: "constructor", kid: "ec" } }, /is not accepted/],
    [
      "of alg HS256 with a public key as the secret",
      { header: { alg: "HS256", kid: "ec" } },
      /"HS256" is not accepted/,
    ],
    [
      "by EdDSA, which JWT-SVIDs may not be",
      { header: { alg: "EdDSA", kid: "ed" }, key: ed.privateKey, sign: (input, key) => sign(null, input, key) },
      /EdDSA is not for JWT-SVIDs/,
    ],
    ["of another alg than its key's", { header: { alg: "ES384", kid: "ec" } }, /no key of it is for ES384/],
    ["of RS256 with a key of EC", { header: { alg: "RS256", kid: "ec" } }, /no key of it is for RS256/],
    ["of a key that nobody knows", { header: { alg: "ES256", kid: "other" } }, /there is no key "other"/],
    ["that another key signed", { key: generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey }, /signature/],
    [
      "whose signature is ASN.1",
      { sign: (input, key) => sign("sha256", input, { key, dsaEncoding: "der" }) },
      /signature is not good/,
    ],
    ["whose signature is all zeros", { sign: () => Buffer.alloc(64) }, /signature is not good/],
    ["with critical extensions", { header: { alg: "ES256", kid: "ec", crit: ["b64"], b64: false } }, /critical/],
    ["with a key in its header", { header: { alg: "ES256", jwk: { kty: "EC" } } }, /"jwk", which/],
    ["with an address of keys", { header: { alg: "ES256", kid: "ec", jku: "https://x" } }, /"jku", which/],
    ["with a kid that is a number", { header: { alg: "ES256", kid: 7 } }, /kid is no text/],
    ["of another typ", { header: { alg: "ES256", kid: "ec", typ: "at+jwt" } }, /typ is "at\+jwt"/],
    ["of typ jwt in lower case", { header: { alg: "ES256", kid: "ec", typ: "jwt" } }, /typ is "jwt"/],
    ["without aud", { claims: without("aud") }, /no aud/],
    ["with an empty list as aud", { claims: { ...CLAIMS, aud: [] } }, /no aud/],
    ["with an empty text as aud", { claims: { ...CLAIMS, aud: "" } }, /no aud/],
    ["for somebody else", { claims: { ...CLAIMS, aud: ["payments"] } }, /it is for "payments"/],
    ["for an audience that only begins like ours", { claims: { ...CLAIMS, aud: ["reports2"] } }, /it is for/],
    ["with an aud that is a number", { claims: { ...CLAIMS, aud: 7 } }, /aud is neither/],
    ["without exp", { claims: without("exp") }, /no exp/],
    ["with exp as a text", { claims: { ...CLAIMS, exp: `${NOW_SEC + 300}` } }, /no exp/],
    ["that has ended", { claims: { ...CLAIMS, exp: NOW_SEC } }, /it ended at/],
    ["that ended before dates began", { claims: { ...CLAIMS, exp: -1e300 } }, /it ended at/],
    ["that is not good yet", { claims: { ...CLAIMS, nbf: NOW_SEC + 1 } }, /not good before/],
    ["with an iat that is none", { claims: { ...CLAIMS, iat: "now" } }, /iat is no number/],
    ["without sub", { claims: without("sub") }, /no sub/],
    ["of a user", { claims: { ...CLAIMS, sub: "alice" } }, /no SPIFFE ID/],
    ["of a SPIFFE ID in capitals", { claims: { ...CLAIMS, sub: WEB.toUpperCase() } }, /no SPIFFE ID/],
    ["of another trust domain", { claims: { ...CLAIMS, sub: "spiffe://other/ns/a/sa/b" } }, /no keys are known/],
    ["whose payload is no JSON", `${HEAD}.${Buffer.from("x").toString("base64url")}.${TAIL}`, /payload is not JSON/],
    ["whose payload was changed", `${HEAD}.${encode({ ...CLAIMS, aud: ["reports", "x"] })}.${TAIL}`, /signature/],
  ])("%s", (_name, made, why) => {
    const token = typeof made === "string" ? made : make(made);
    expect(() => verify(token)).toThrow(
      expect.objectContaining({ code: "token-invalid", message: expect.stringMatching(why) as string }),
    );
  });

  test("whose end lies within the skew only by who grants none", () => {
    const token = make({ claims: { ...CLAIMS, exp: NOW_SEC - 10 } });
    expect(verify(token, { ...FOR_REPORTS, skewMs: 30_000 }).spiffeId).toBe(WEB);
    expect(() => verify(token)).toThrow(/ended/);
  });
});

describe("keys", () => {
  test("are read as they were written", () => {
    const jwks = JSON.stringify({ keys: [encodeJwk("a", ec.publicKey), encodeJwk("b", rsa.publicKey)] });
    const keys = parseJwks(jwks);
    expect(keys.map(({ keyId }) => keyId)).toEqual(["a", "b"]);
    expect(keys[0]!.key.equals(ec.publicKey)).toBe(true);
  });

  const good = encodeJwk("a", ec.publicKey);
  test.each<[string, JsonValue]>([
    ["a secret", { kty: "oct", k: "c2VjcmV0", kid: "a" }],
    ["one for encryption", { ...good, use: "enc" }],
    ["one that may only sign", { ...good, key_ops: ["sign"] }],
    ["a root for certificates", { ...good, use: "x509-svid" }],
    ["a point that is on no curve", { ...good, x: good["y"]! }],
    ["a curve that nobody knows", { ...good, crv: "P-192" }],
    ["a weak one", encodeJwk("a", generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey)],
    ["half of one", { kty: "EC", crv: "P-256", x: good["x"]! }],
  ])("that are %s verify nothing", (_name, jwk) => {
    expect(parseJwks(JSON.stringify({ keys: [jwk] }))).toEqual([]);
  });

  test("of one algorithm are used for no other", () => {
    const keys = parseJwks(JSON.stringify({ keys: [{ ...encodeJwk("rsa", rsa.publicKey), alg: "PS256" }] }));
    const token = make({
      header: { alg: "RS256", kid: "rsa" },
      key: rsa.privateKey,
      sign: (input, key) => sign("sha256", input, key),
    });
    expect(() => verifyJws(token, keys)).toThrow(/no key of it is for RS256/);
  });

  test.each([
    "",
    "[]",
    "{}",
    '{"keys":{}}',
    '{"keys":[1]}',
    `{"keys":${JSON.stringify(Array.from({ length: 65 }, () => ({})))}}`,
  ])("are none in %j", (text) => {
    expect(() => parseJwks(text)).toThrow(expect.objectContaining({ code: "bad-input" }));
  });
});

const vectors = corpusPath("spiffe-vectors");
describe.skipIf(vectors === null)("the SPIFFE vectors (skipped without the shared corpus)", () => {
  test.each([
    ["jwtbundle/jwks_valid_1.json", ["C6vs25welZOx6WksNYfbMfiw9l96pMnD"]],
    ["jwtbundle/jwks_valid_2.json", ["C6vs25welZOx6WksNYfbMfiw9l96pMnD", "gHTCunJbefYtnZnTctd84xeRWyMrEsWD"]],
    ["spiffebundle/spiffebundle_valid_1.json", ["C6vs25welZOx6WksNYfbMfiw9l96pMnD"]],
    ["spiffebundle/spiffebundle_valid_with_wit.json", ["IRsID4VIM3T11TsK43Ny1DgCD5UNWhva"]],
  ])("%s has the keys %j", (name, ids) => {
    expect(parseJwtBundle(read(vectors!, "bundle", name)).map(({ keyId }) => keyId)).toEqual(
      expect.arrayContaining(ids),
    );
  });

  test("of many keys all are read that are for JWT-SVIDs", () => {
    expect(parseJwtBundle(read(vectors!, "bundle/spiffebundle/spiffebundle_valid_2.json"))).toHaveLength(6);
  });

  test.each([
    "jwtbundle/jwks_missing_kid.json",
    "spiffebundle/spiffebundle_missing_kid.json",
    "spiffebundle/spiffebundle_no_keys.json",
  ])("%s is refused", (name) => {
    expect(() => parseJwtBundle(read(vectors!, "bundle", name))).toThrow(
      expect.objectContaining({ code: "bad-input" }),
    );
  });
});

const tokens = corpusPath("jwt");
describe.skipIf(tokens === null)("Istio's sample tokens (skipped without the shared corpus)", () => {
  const at = { issuers: ["testing@secure.istio.io"], audiences: [], nowMs: NOW_SEC * 1_000, skewMs: 0 };

  test.each(["demo.jwt", "groups-scope.jwt"])("%s is good, and no JWT-SVID", (name) => {
    const token = read(tokens!, name);
    const keys = parseJwks(read(tokens!, "jwks.json"));
    const { jws, keyId } = verifyJws(token, keys);
    expect(keyId).toBe("DHFbpoIUqrY8t2zpA2qXfCmr5VO5ZEr4RzHU_-envvQ");
    expect(verifyClaims(jws.payload, at)).toMatchObject({ iss: "testing@secure.istio.io" });
    expect(() => verifyClaims(jws.payload, { ...at, issuers: ["x"] })).toThrow(/issuer/);
    expect(() => verifyClaims(jws.payload, { ...at, audiences: ["x"] })).toThrow(/it is for nobody/);
    expect(() => verifyClaims(jws.payload, { ...at, nowMs: 5_000_000_000_000 })).toThrow(/ended/);
    expect(() =>
      verifyJws(
        token.replace(/.$/, (last) => (last === "A" ? "Q" : "A")),
        keys,
      ),
    ).toThrow();
    expect(() => verifyJwtSvid(token, new Map([[DOMAIN, keys]]), FOR_REPORTS)).toThrow(/no SPIFFE ID/);
  });
});

function read(...path: readonly string[]): string {
  return readFileSync(join(...path), "utf8").trim();
}

function without(name: keyof typeof CLAIMS): object {
  const { [name]: _, ...rest } = CLAIMS;
  return rest;
}

/** The same octets by another text: the last character has bits that are left over. */
function lastBitsSet(text: string): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  return `${text.slice(0, -1)}${alphabet[alphabet.indexOf(text.at(-1)!) + 1]}`;
}
