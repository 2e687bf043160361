import { describe, expect, test } from "vitest";
import { type Fault, locatePlain } from "../../../../src/core/located.ts";
import { parseAuthenticationDocument } from "../../../../src/policy/authentication/document.ts";
import { keySourceId } from "../../../../src/policy/authentication/key-source.ts";
import { type Authenticating, authenticatingStep } from "../../../../src/proxy/discovery/wire-keys.ts";
import { createSimulatedClock } from "../../../support/simulated-clock.ts";
import { issuerKey, jwksOf } from "../../../support/test-tokens.ts";

const URI = "https://id.example/keys";
const KEY = issuerKey("a");
const clock = createSimulatedClock(0);

function usersOf(fields: object = {}) {
  const faults: Fault[] = [];
  const located = locatePlain({
    apiVersion: "security.istio.io/v1",
    kind: "RequestAuthentication",
    metadata: { name: "users", namespace: "shop" },
    spec: { jwtRules: [{ issuer: "https://id.example", jwksUri: URI, ...fields }] },
  });
  const document = parseAuthenticationDocument("RequestAuthentication", located, { file: "users.yaml" }, faults);
  expect(faults).toEqual([]);
  return document!;
}

function keysOf(document: unknown) {
  const name = `KeySet/keys/${keySourceId({ from: "uri", uri: URI })}`;
  return [{ kind: "KeySet", name, document, source: { file: "", line: null } }] as const;
}

const jwks = jwksOf(KEY);

function openStep(fields: object = {}, keys: unknown = { jwks }, before: Authenticating | null = null) {
  return authenticatingStep([usersOf(fields)], keysOf(keys), { clock, before });
}

describe("the step that checks tokens", () => {
  test.each<[string, object, unknown]>([
    ["a rule", { audiences: ["orders"] }, { jwks }],
    ["a key", {}, { jwks: jwksOf(issuerKey("a")) }],
    ["whether there are any keys", {}, { error: "the answer is 503" }],
  ])("is another, without the tokens of the one before, when %s has changed", async (_name, fields, keys) => {
    const before = await openStep();
    expect((await openStep(fields, keys, before))?.step).not.toBe(before?.step);
  });

  test("is the one before where neither rules nor keys have changed", async () => {
    const before = await openStep();
    expect((await openStep({}, { jwks }, before))?.step).toBe(before?.step);
  });

  test("refuses keys that are neither keys nor an error", async () => {
    await expect(openStep({}, { jwks: 5 })).rejects.toThrow("has neither keys nor an error");
  });
});
