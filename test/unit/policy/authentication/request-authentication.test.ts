import { describe, expect, test } from "vitest";
import { parsePolicyFiles } from "../../../../src/config/policy-files.ts";
import { formatFault } from "../../../../src/core/located.ts";
import type { JwtRule } from "../../../../src/policy/authentication/jwt-rule.ts";

const JWKS = JSON.stringify({ keys: [{ kty: "RSA", kid: "a", n: "AQAB", e: "AQAB" }] });
const RULE = { issuer: "https://id.example", jwksUri: "https://id.example/keys" };

function read(spec: object, metadata: object = {}) {
  const document = {
    apiVersion: "security.istio.io/v1",
    kind: "RequestAuthentication",
    metadata: { name: "users", namespace: "shop", ...metadata },
    spec,
  };
  const { authentication, faults } = parsePolicyFiles([{ path: "r.json", text: JSON.stringify(document) }]);
  return { document: authentication[0], faults: faults.map(formatFault) };
}

function ruleOf(rule: object): JwtRule {
  const { document, faults } = read({ jwtRules: [rule] });
  expect(faults).toEqual([]);
  if (document?.kind !== "RequestAuthentication") return expect.unreachable();
  return document.jwtRules[0]!;
}

describe("a RequestAuthentication", () => {
  test("selects workloads by labels, and keeps where and how it was written", () => {
    const { document } = read({ selector: { matchLabels: { app: "orders" } }, jwtRules: [RULE] });
    expect(document).toMatchObject({ id: "shop/users", kind: "RequestAuthentication", source: { file: "r.json" } });
    expect(document?.matchLabels).toEqual(new Map([["app", "orders"]]));
    expect(document?.raw).toMatchObject({ spec: { jwtRules: [RULE] } });
  });

  test("without rules knows no token, and is none the worse for it", () => {
    expect(read({}).document).toMatchObject({ jwtRules: [] });
  });

  test("asks for tokens that expire, unless its annotation says otherwise", () => {
    expect(read({}).document).toMatchObject({ isExpirationRequired: true });
    const annotations = { "cardea.dev/require-expiration": "false", "example.com/other": "x" };
    expect(read({}, { annotations }).document).toMatchObject({ isExpirationRequired: false });
  });
});

describe("a rule", () => {
  test("without a place looks for Bearer in authorization, then for the parameter access_token", () => {
    expect(ruleOf(RULE).places).toEqual({
      headers: [{ name: "authorization", prefix: "Bearer " }],
      params: ["access_token"],
      cookies: [],
    });
  });

  test("waits for keys as long as it says, else for five seconds", () => {
    expect(ruleOf(RULE).timeoutMs).toBe(5_000);
    expect(ruleOf({ ...RULE, timeout: "2s" }).timeoutMs).toBe(2_000);
  });

  test("with any place of its own looks there alone", () => {
    expect(ruleOf({ ...RULE, fromCookies: ["session"] }).places).toEqual({
      headers: [],
      params: [],
      cookies: ["session"],
    });
  });

  test("has every field of istio.io/api", () => {
    const all = {
      ...RULE,
      audiences: ["shop"],
      fromHeaders: [{ name: "X-Token", prefix: "JWT " }, { name: "x-plain" }],
      fromParams: ["t"],
      fromCookies: ["c"],
      outputPayloadToHeader: "X-Payload",
      outputClaimToHeaders: [{ header: "X-Group", claim: "nested.group" }],
      forwardOriginalToken: true,
      timeout: "2s",
      spaceDelimitedClaims: ["roles"],
      presence: "REQUIRED",
    };
    expect(ruleOf(all)).toEqual({
      issuer: "https://id.example",
      audiences: ["shop"],
      keys: { from: "uri", uri: "https://id.example/keys" },
      places: {
        headers: [
          { name: "x-token", prefix: "JWT " },
          { name: "x-plain", prefix: "" },
        ],
        params: ["t"],
        cookies: ["c"],
      },
      isTokenForwarded: true,
      payloadHeader: "x-payload",
      claimHeaders: [{ header: "x-group", claim: "nested.group" }],
      timeoutMs: 2_000,
      spaceDelimitedClaims: ["permission", "scope", "roles"],
      isRequired: true,
    });
  });

  test("has its keys from the policy, from an URL, or from what the issuer says of itself", () => {
    expect(ruleOf({ issuer: "x", jwks: JWKS }).keys).toMatchObject({
      from: "policy",
      keys: [{ kty: "RSA", kid: "a" }],
    });
    expect(ruleOf({ jwksUri: "https://k.example/" })).toMatchObject({ issuer: null, keys: { from: "uri" } });
    expect(ruleOf({ issuer: "issuer-foo" }).keys).toEqual({ from: "discovery", issuer: "issuer-foo" });
    expect(ruleOf({ issuer: "x", jwks_uri: "https://k.example/" }).keys).toMatchObject({ from: "uri" });
  });
});

describe("refused, with the field that is wrong:", () => {
  test.each<[string, object, string]>([
    ["targetRefs", { targetRefs: [] }, "spec.targetRefs: is for gateways and waypoints"],
    ["targetRef", { targetRef: {} }, "spec.targetRef: is for gateways and waypoints"],
    ["a wildcard label", { selector: { matchLabels: { app: "*" } } }, "wildcards have no meaning"],
    ["an unknown field", { jwtRules: [{ ...RULE, audience: [] }] }, "did you mean `audiences`?"],
    ["neither issuer nor jwksUri", { jwtRules: [{}] }, "spec.jwtRules[0].issuer: is required"],
    ["keys without an issuer", { jwtRules: [{ jwks: JWKS }] }, "spec.jwtRules[0].issuer: is required"],
    ["an empty issuer", { jwtRules: [{ ...RULE, issuer: "" }] }, "must not be empty"],
    ["an empty audience", { jwtRules: [{ ...RULE, audiences: [""] }] }, "audiences[0]: must not be empty"],
    ["two sources of keys", { jwtRules: [{ ...RULE, jwks: JWKS }] }, "only one of jwksUri and jwks"],
    ["another scheme", { jwtRules: [{ jwksUri: "file:///etc/passwd" }] }, "expected an URL with https://"],
    ["no URL", { jwtRules: [{ jwksUri: "keys" }] }, "expected an URL with https://"],
    ["a password in the URL", { jwtRules: [{ jwksUri: "https://a:b@k.example/" }] }, "a user or a password"],
    ["a header without a name", { jwtRules: [{ ...RULE, fromHeaders: [{ prefix: "x" }] }] }, "name: is required"],
    ["a header's name with a space", { jwtRules: [{ ...RULE, fromHeaders: [{ name: "a b" }] }] }, "name of a header"],
    ["an empty parameter", { jwtRules: [{ ...RULE, fromParams: [""] }] }, "fromParams[0]: must not be empty"],
    ["an empty cookie", { jwtRules: [{ ...RULE, fromCookies: [""] }] }, "fromCookies[0]: must not be empty"],
    ["a cookie's name with =", { jwtRules: [{ ...RULE, fromCookies: ["a=b"] }] }, "name of a cookie"],
    ["claims to host", { jwtRules: [{ ...RULE, outputPayloadToHeader: "Host" }] }, "host says where a request goes"],
    ["claims to authorization", { jwtRules: [{ ...RULE, outputPayloadToHeader: "Authorization" }] }, "credentials"],
    [
      "claims to x-cardea-denial",
      { jwtRules: [{ ...RULE, outputPayloadToHeader: "x-cardea-denial" }] },
      "sidecars alone",
    ],
    [
      "a claim without a header",
      { jwtRules: [{ ...RULE, outputClaimToHeaders: [{ claim: "a" }] }] },
      "header: is required",
    ],
    [
      "a claim header with a dot",
      { jwtRules: [{ ...RULE, outputClaimToHeaders: [{ claim: "a", header: "x.y" }] }] },
      "letters, digits, - and _",
    ],
    [
      "two claims to one header",
      { jwtRules: [{ ...RULE, outputPayloadToHeader: "x-a", outputClaimToHeaders: [{ claim: "a", header: "X-A" }] }] },
      "x-a is written twice",
    ],
    [
      "a header that is read and written",
      { jwtRules: [{ ...RULE, outputPayloadToHeader: "x-a", fromHeaders: [{ name: "x-a" }] }] },
      "written by this rule, and read",
    ],
    ["a time-out of nothing", { jwtRules: [{ ...RULE, timeout: "0s" }] }, "must be at least 1ms"],
    ["an unknown presence", { jwtRules: [{ ...RULE, presence: "ALWAYS" }] }, "one of OPTIONAL, REQUIRED"],
    [
      "65 space-delimited claims",
      { jwtRules: [{ ...RULE, spaceDelimitedClaims: Array.from({ length: 65 }, () => "a") }] },
      "more than 64",
    ],
    ["4,097 rules", { jwtRules: Array.from({ length: 4_097 }, () => RULE) }, "more than 4096"],
  ])("%s", (_name, spec, message) => {
    const { document, faults } = read(spec);
    expect(document).toBeUndefined();
    expect(faults.join("\n")).toContain(message);
  });

  test("an annotation that is neither true nor false", () => {
    const { faults } = read({}, { annotations: { "cardea.dev/require-expiration": "no" } });
    expect(faults.join()).toContain(
      'metadata.annotations["cardea.dev/require-expiration"]: expected "true" or "false"',
    );
  });
});

describe("a key set in the policy is refused", () => {
  const key = { kty: "RSA", n: "AQAB", e: "AQAB" };
  test.each<[string, string, string]>([
    ["that is no JSON", "{", "is not JSON"],
    ["without keys", "{}", "expected a JWK Set"],
    ["with an empty list", '{"keys":[]}', "has no key that can verify"],
    ["with a secret key", '{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}', "is a secret key"],
    ["with a private key", JSON.stringify({ keys: [{ ...key, d: "AQAB" }] }), "has its private half"],
    ["with a member given twice", '{"keys":[{"kty":"RSA","kty":"EC","n":"AQAB","e":"AQAB"}]}', 'the key "kty" twice'],
    ["with two lists of keys", '{"keys":[],"k\\u0065ys":[]}', 'the key "keys" twice'],
    [
      "with keys for encryption alone",
      JSON.stringify({ keys: [{ ...key, use: "enc" }] }),
      "has no key that can verify",
    ],
    ["with a kid that is a number", JSON.stringify({ keys: [{ ...key, kid: 1 }] }), "keys[0].kid: expected a text"],
    ["with a modulus that is none", JSON.stringify({ keys: [{ ...key, n: "a b" }] }), "keys[0].n: expected base64url"],
    ["with 65 keys", JSON.stringify({ keys: Array.from({ length: 65 }, () => key) }), "more than 64 keys"],
    ["of 200 KB", JSON.stringify({ keys: [key], x: "x".repeat(200_000) }), "more than 131072 bytes"],
    ["of a curve that is not taken", '{"keys":[{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"}]}', "has no key"],
    ["nested a thousand deep", `{"keys":${"[".repeat(1_000)}${"]".repeat(1_000)}}`, "nested deeper than 64"],
  ])("%s", (_name, jwks, message) => {
    const { faults } = read({ jwtRules: [{ issuer: "x", jwks }] });
    expect(faults.join()).toContain("spec.jwtRules[0].jwks");
    expect(faults.join()).toContain(message);
  });
});
