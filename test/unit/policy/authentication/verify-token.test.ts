import { createHmac, createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { CardeaError } from "../../../../src/core/errors.ts";
import type { JwtRule } from "../../../../src/policy/authentication/jwt-rule.ts";
import { parseKeySet } from "../../../../src/policy/authentication/key-set.ts";
import { parseToken } from "../../../../src/policy/authentication/token.ts";
import { type TokenRule, verifyToken } from "../../../../src/policy/authentication/verify-token.ts";
import { corpusPath } from "../../../support/corpus.ts";
import { type IssuerKey, issuerKey, jwksOf, signedText, tokenOf } from "../../../support/test-tokens.ts";

const NOW_SEC = 1_800_000_000;
const RSA = issuerKey("rsa", "RS256");
const EC = issuerKey("ec", "ES256");
const ED = issuerKey("ed", "EdDSA");
const STRANGER = issuerKey("ec", "ES256");
const GOOD = { iss: "https://id.example", sub: "alice", exp: NOW_SEC + 600 };

const RULE: JwtRule = {
  issuer: "https://id.example",
  audiences: [],
  keys: { from: "policy", keys: [] },
  places: { headers: [], params: [], cookies: [] },
  isTokenForwarded: false,
  payloadHeader: null,
  claimHeaders: [],
  timeoutMs: 5_000,
  spaceDelimitedClaims: [],
  isRequired: false,
};

function ruleOf(change: Partial<JwtRule> = {}, keys: TokenRule["keys"] = parseKeySet(jwksOf(RSA, EC, ED))): TokenRule {
  return { rule: { ...RULE, ...change }, isExpirationRequired: true, keys };
}

async function outcome(token: string, rules: readonly TokenRule[] = [ruleOf()]): Promise<string> {
  try {
    await verifyToken(parseToken(token), rules, NOW_SEC * 1_000);
    return "good";
  } catch (thrown) {
    if (!(thrown instanceof CardeaError)) throw thrown;
    return `${thrown.code}: ${thrown.message}`;
  }
}

describe("a token is believed", () => {
  test.each<[string, IssuerKey]>([
    ["RS256", RSA],
    ["ES256", EC],
    ["EdDSA", ED],
  ])("that a key of the issuer has signed: %s", async (_name, key) => {
    expect(await outcome(tokenOf(key, GOOD))).toBe("good");
  });

  test("without a kid, by whichever key fits", async () => {
    expect(await outcome(tokenOf(EC, GOOD, { kid: undefined }))).toBe("good");
  });

  test("within half a minute of its times, for clocks that differ", async () => {
    expect(await outcome(tokenOf(EC, { ...GOOD, exp: NOW_SEC - 29 }))).toBe("good");
    expect(await outcome(tokenOf(EC, { ...GOOD, nbf: NOW_SEC + 29 }))).toBe("good");
  });

  test("for one of the audiences that are taken", async () => {
    const rules = [ruleOf({ audiences: ["bank", "shop"] })];
    expect(await outcome(tokenOf(EC, { ...GOOD, aud: "shop" }), rules)).toBe("good");
    expect(await outcome(tokenOf(EC, { ...GOOD, aud: ["x", "bank"] }), rules)).toBe("good");
  });

  test("of any issuer, where the rule names none", async () => {
    expect(await outcome(tokenOf(EC, { ...GOOD, iss: "else" }), [ruleOf({ issuer: null })])).toBe("good");
  });

  test("by the second rule for its issuer, where the first does not vouch for it", async () => {
    const first = ruleOf({}, parseKeySet(jwksOf(STRANGER)));
    expect(await outcome(tokenOf(EC, GOOD), [first, ruleOf()])).toBe("good");
  });

  test("without an end, where the annotation allows it", async () => {
    const token = tokenOf(EC, { ...GOOD, exp: undefined });
    expect(await outcome(token, [{ ...ruleOf(), isExpirationRequired: false }])).toBe("good");
    expect(await outcome(token)).toContain("it has no exp");
  });
});

describe("a token is refused", () => {
  const header = (change: object): string => tokenOf(EC, GOOD, change);
  const claims = (change: object): string => tokenOf(EC, { ...GOOD, ...change });
  const text = (payload: string): string => signedText(EC, '{"alg":"ES256","kid":"ec"}', payload);

  test.each<[string, string, string]>([
    ["that a stranger signed", tokenOf(STRANGER, GOOD), "its signature is not good"],
    [
      "that was changed",
      tokenOf(EC, GOOD).replace(
        /\.[^.]+\./,
        `.${Buffer.from(JSON.stringify({ ...GOOD, sub: "eve" })).toString("base64url")}.`,
      ),
      "signature is not good",
    ],
    [
      "without a signature (alg none)",
      `${Buffer.from('{"alg":"none"}').toString("base64url")}.${Buffer.from(JSON.stringify(GOOD)).toString("base64url")}.`,
      "it has not three parts",
    ],
    ["with alg none and something for a signature", header({ alg: "none" }), 'its algorithm "none" is not accepted'],
    ["with alg None", header({ alg: "None" }), "is not accepted"],
    ["without an alg", header({ alg: undefined }), "its algorithm null is not accepted"],
    ["with an alg of shared secrets", header({ alg: "HS256" }), 'its algorithm "HS256" is not accepted'],
    ["whose alg is of another kind of key", header({ alg: "RS256" }), "no key of it is for RS256"],
    ["whose alg is of another curve", header({ alg: "ES384" }), "no key of it is for ES384"],
    ["that names a key that is not there", header({ kid: "x" }), 'there is no key "x"'],
    ["that names another key than it was signed by", header({ kid: "rsa" }), "no key of it is for ES256"],
    ["whose kid is a number", header({ kid: 7 }), "its kid is no text"],
    ["whose kid is long", header({ kid: "k".repeat(3_000) }), "its kid is too long"],
    ["with critical extensions", header({ crit: ["b64"], b64: false }), "critical extensions"],
    ["of another issuer", claims({ iss: "https://else.example" }), "no rule is for its issuer"],
    ["of an issuer with a slash more", claims({ iss: "https://id.example/" }), "no rule is for its issuer"],
    ["without an issuer", claims({ iss: undefined }), "no rule is for its issuer null"],
    ["that has ended", claims({ exp: NOW_SEC - 31 }), "it ended at 2027-01-15T07:59:29.000Z"],
    ["that has not begun", claims({ nbf: NOW_SEC + 31 }), "its nbf is yet to come"],
    ["that is yet to be issued", claims({ iat: NOW_SEC + 31 }), "its iat is yet to come"],
    ["whose exp is a text", claims({ exp: String(NOW_SEC + 600) }), "its exp is no time"],
    ["whose exp is null", claims({ exp: null }), "its exp is no time"],
    ["whose nbf is below zero", claims({ nbf: -1 }), "its nbf is no time"],
    ["whose iss is a list", claims({ iss: ["https://id.example"] }), "its iss is no text"],
    ["whose sub is a number", claims({ sub: 7 }), "its sub is no text"],
    ["whose sub has a line feed", claims({ sub: "alice\nadmin" }), "control characters"],
    ["whose aud is a number", claims({ aud: 7 }), "its aud is neither"],
    [
      "with a claim given twice",
      text(`{"iss":"https://id.example","sub":"alice","sub":"eve","exp":${GOOD.exp}}`),
      'its payload has the key "sub" twice',
    ],
    [
      "with a claim given twice in two spellings",
      text(`{"iss":"https://id.example","sub":"a","s\\u0075b":"eve","exp":${GOOD.exp}}`),
      'the key "sub" twice',
    ],
    [
      "with a claim of a claim given twice",
      text(`{"iss":"https://id.example","exp":${GOOD.exp},"a":{"b":1,"b":2}}`),
      'the key "b" twice',
    ],
    [
      "whose header gives alg twice",
      signedText(EC, '{"alg":"ES256","alg":"none"}', JSON.stringify(GOOD)),
      'its header has the key "alg" twice',
    ],
    ["whose claims are a list", text("[]"), "no JSON object"],
    ["whose claims are no JSON", text("{"), "its payload is not JSON"],
    [
      "whose claims are not UTF-8",
      `${header({}).split(".")[0]}.${Buffer.from([0x7b, 0xff, 0x7d]).toString("base64url")}.AAAA`,
      "its payload is not JSON",
    ],
    ["nested a hundred deep", text(`{"a":${"[".repeat(100)}${"]".repeat(100)}}`), "nested deeper than 64"],
    ["of 20 KB", claims({ x: "x".repeat(20_000) }), "longer than 16384 bytes"],
    ["with padding", `${tokenOf(EC, GOOD)}=`, "its signature is not base64url"],
    ["with a fourth part", `${tokenOf(EC, GOOD)}.AAAA`, "it has not three parts"],
    ["with a space", ` ${tokenOf(EC, GOOD)}`, "its header is not base64url"],
    ["that is none", "abc", "it has not three parts"],
    ["that is empty", "", "it has not three parts"],
  ])("%s", async (_name, token, message) => {
    const result = await outcome(token);
    expect(result).toContain("token-invalid");
    expect(result).toContain(message);
  });

  test("that the public key, taken for a secret, has signed", async () => {
    const input = `${Buffer.from('{"alg":"HS256","kid":"rsa"}').toString("base64url")}.${Buffer.from(JSON.stringify(GOOD)).toString("base64url")}`;
    const pem = createPublicKey(RSA.privateKey).export({ type: "spki", format: "pem" });
    const forged = `${input}.${createHmac("sha256", pem).update(input).digest("base64url")}`;
    expect(await outcome(forged)).toContain("token-invalid");
  });

  test("signed by a weak key", async () => {
    const weak = issuerKey("weak", "RS256", 1_024);
    expect(await outcome(tokenOf(weak, GOOD), [ruleOf({}, parseKeySet(jwksOf(weak)))])).toContain(
      "signature is not good",
    );
  });

  test("by a key that is for another algorithm", async () => {
    const jwks = JSON.stringify({ keys: [{ ...RSA.jwk, alg: "PS256" }] });
    expect(await outcome(tokenOf(RSA, GOOD), [ruleOf({}, parseKeySet(jwks))])).toContain("no key of it is for RS256");
  });

  test("for others, in words of its own: it is good elsewhere", async () => {
    const rules = [ruleOf({ audiences: ["shop"] })];
    expect(await outcome(tokenOf(EC, { ...GOOD, aud: "bank" }), rules)).toMatch(/^token-audience: .* for "bank"$/);
    expect(await outcome(tokenOf(EC, GOOD), rules)).toMatch(/^token-audience: .* for nobody$/);
    expect(await outcome(tokenOf(STRANGER, GOOD), rules)).toContain("token-invalid");
  });

  test("while its issuer's keys cannot be had, and says so", async () => {
    expect(await outcome(tokenOf(EC, GOOD), [ruleOf({}, "the keys of X cannot be had: gone")])).toContain(
      "cannot be had: gone",
    );
  });
});

const corpus = corpusPath("jwt");
function at(name: string): string {
  return readFileSync(join(corpus!, name), "utf8").trim();
}

function istios(): TokenRule {
  return ruleOf({ issuer: "testing@secure.istio.io" }, parseKeySet(at("jwks.json")));
}

describe.skipIf(corpus === null)("Istio's own tokens (needs the shared corpus)", () => {
  test.each(["demo.jwt", "groups-scope.jwt"])("%s is believed, by the key set of its issuer alone", async (name) => {
    expect(await outcome(at(name), [istios()])).toBe("good");
    expect(await outcome(at(name), [ruleOf({ issuer: "testing@secure.istio.io" })])).toContain("there is no key");
  });
});
