import { expect, test } from "vitest";
import { locatePlain } from "../../../../src/core/located.ts";
import {
  type AuthenticationDocument,
  parseAuthenticationDocument,
} from "../../../../src/policy/authentication/document.ts";
import { keySourceId, tokenRulesOf } from "../../../../src/policy/authentication/key-source.ts";

// Keys that cannot be had are told as none: no token of such a rule is believed.

const KEY = { kty: "OKP", crv: "Ed25519", x: "a".repeat(43), kid: "k" };
const JWKS = JSON.stringify({ keys: [KEY] });
const URI = "https://id.example/keys";

function documentOf(
  jwtRules: readonly object[],
  name = "a",
  kind: "RequestAuthentication" | "PeerAuthentication" = "RequestAuthentication",
): AuthenticationDocument {
  const spec = kind === "RequestAuthentication" ? { jwtRules } : {};
  const raw = { apiVersion: "security.istio.io/v1", kind, metadata: { name, namespace: "shop" }, spec };
  const document = parseAuthenticationDocument(kind, locatePlain(raw), { file: "a.yaml" }, []);
  if (document === null) throw new Error("refused");
  return document;
}

const keysOf = (rule: object, fetched: Parameters<typeof tokenRulesOf>[1] = new Map()) =>
  tokenRulesOf([documentOf([rule])], fetched).map(({ keys }) => keys);

const ofUri = keySourceId({ from: "uri", uri: URI });
const ofIssuer = keySourceId({ from: "discovery", issuer: "id" });
const jwksUri = { issuer: "id", jwksUri: URI };

test("no key stands in for those that have not come, are not to be had, or cannot be read", () => {
  expect(keysOf(jwksUri)).toEqual([`the keys of ${URI} have not been fetched`]);
  expect(keysOf({ issuer: "id" })).toEqual(["the keys of the issuer id have not been fetched"]);
  expect(keysOf(jwksUri, new Map([[ofUri, { jwks: null, error: "timed out" }]]))).toEqual([
    `the keys of ${URI} cannot be had: timed out`,
  ]);
  expect(keysOf({ issuer: "id" }, new Map([[ofIssuer, { jwks: "{}", error: null }]]))).toEqual([
    "the keys of the issuer id cannot be read: expected a JWK Set, which has a list named `keys`",
  ]);
  // Somebody else's are not taken.
  expect(keysOf(jwksUri, new Map([[ofIssuer, { jwks: JWKS, error: null }]]))).toEqual([
    `the keys of ${URI} have not been fetched`,
  ]);
});

test("keys are those of the policy, or those that were fetched from where it says", () => {
  const wanted = [[expect.objectContaining({ kid: "k", kty: "OKP" })]];
  expect(keysOf({ issuer: "id", jwks: JWKS })).toEqual(wanted);
  expect(keysOf(jwksUri, new Map([[ofUri, { jwks: JWKS, error: null }]]))).toEqual(wanted);
  expect(keysOf({ issuer: "id" }, new Map([[ofIssuer, { jwks: JWKS, error: null }]]))).toEqual(wanted);
});

test("sources travel by names of 32 characters, and those that are not the same have different ones", () => {
  const others = [
    keySourceId({ from: "uri", uri: "id" }),
    keySourceId({ from: "discovery", issuer: URI }),
    keySourceId({ from: "uri", uri: "" }),
    keySourceId({ from: "discovery", issuer: "" }),
  ];
  expect(new Set([ofUri, ofIssuer, ...others]).size).toBe(6);
  // Both ends of the wire make the same of it, whatever their versions are.
  expect(ofUri).toBe("b6f182f52fda3952395554cefc3708b3");
  expect(ofIssuer).toBe("8fe18df8afced6d3d603793ea3ae9fbd");
});

const ruleOf = (issuer: string | null, audience: string): object => ({
  ...(issuer === null ? {} : { issuer }),
  jwksUri: URI,
  audiences: [audience],
});

test("rules come by issuer, of one issuer as they were written, and only of documents that have rules on tokens", () => {
  const documents = [
    documentOf([], "p", "PeerAuthentication"),
    documentOf([ruleOf("b", "1"), ruleOf("a", "2")]),
    documentOf([ruleOf(null, "3"), ruleOf("-1", "7"), ruleOf("b", "4"), ruleOf("a", "5"), ruleOf("c", "6")], "b"),
  ];
  const rules = tokenRulesOf(documents, new Map());
  expect(rules.map(({ rule: { issuer, audiences } }) => `${issuer} ${audiences.join()}`)).toEqual([
    "null 3",
    "-1 7",
    "a 2",
    "a 5",
    "b 1",
    "b 4",
    "c 6",
  ]);
  expect(rules.every(({ isExpirationRequired }) => isExpirationRequired)).toBe(true);
  expect(tokenRulesOf([], new Map())).toEqual([]);
});
