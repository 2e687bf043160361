import { describe, expect, test } from "vitest";
import { type Fault, locatePlain } from "../../../src/core/located.ts";
import { JWT_RULE, type JwtRule } from "../../../src/policy/authentication/jwt-rule.ts";
import { parseKeySet } from "../../../src/policy/authentication/key-set.ts";
import type { TokenRule } from "../../../src/policy/authentication/verify-token.ts";
import { AskedRequest, type StepAnswer } from "../../../src/proxy/admission-steps.ts";
import { AuthenticateStep } from "../../../src/proxy/authenticate.ts";
import { createSimulatedClock } from "../../support/simulated-clock.ts";
import { type IssuerKey, issuerKey, jwksOf, tokenOf } from "../../support/test-tokens.ts";

const NOW_SEC = 1_800_000_000;
const ID = issuerKey("id");
const OTHER = issuerKey("other");
const ALICE = {
  iss: "https://id.example",
  sub: "alice",
  exp: NOW_SEC + 600,
  group: "admin",
  level: 3,
  realm: { x: "y" },
};
const token = tokenOf(ID, ALICE);
const others = tokenOf(OTHER, { ...ALICE, iss: "https://other.example", sub: "bob" });
const bad = tokenOf(OTHER, ALICE);

function ruleOf(fields: object = {}, key: IssuerKey = ID): TokenRule {
  const faults: Fault[] = [];
  const located = locatePlain({ issuer: "https://id.example", jwksUri: "https://id.example/k", ...fields });
  const rule = JWT_RULE(located, { file: "r", field: "", faults }) as JwtRule;
  expect(faults).toEqual([]);
  return { rule, isExpirationRequired: true, keys: parseKeySet(jwksOf(key)) };
}

const OTHERS_RULE = ruleOf({ issuer: "https://other.example" }, OTHER);

function stepOf(...rules: readonly TokenRule[]) {
  const clock = createSimulatedClock(NOW_SEC * 1_000);
  return { step: new AuthenticateStep(rules, clock), clock };
}

function requestOf(headers: readonly string[], target = "/a", method = "GET"): AskedRequest {
  const path = target.split("?")[0]!;
  const head = { method, path: target, host: "orders", headers } as unknown as AskedRequest["head"];
  const peer = {} as AskedRequest["peer"];
  return new AskedRequest({ head, peer, headers: ["host", "orders", ...headers], target, path });
}

/** The request as it is left, and what the caller gets where it is refused. */
async function pass(step: AuthenticateStep, asked: AskedRequest) {
  const answer: StepAnswer = await step.ask(asked);
  const local = answer?.answer?.("0123456789abcdef") ?? null;
  return {
    asked,
    reason: answer?.error.message ?? null,
    status: local?.status ?? null,
    headers: local?.answer.headers ?? [],
  };
}

const bearer = (text: string): readonly string[] => ["Authorization", `Bearer ${text}`];

describe("a request with a token that a rule vouches for", () => {
  test("passes, with the token's claims and principal, and without the token", async () => {
    const { asked, reason } = await pass(stepOf(ruleOf()).step, requestOf(bearer(token)));
    expect(reason).toBeNull();
    expect(asked.claims).toEqual(ALICE);
    expect(asked.requestPrincipal).toBe("https://id.example/alice");
    expect(asked.headers).toEqual(["host", "orders"]);
  });

  test("keeps the token where the rule says so", async () => {
    const { asked } = await pass(stepOf(ruleOf({ forwardOriginalToken: true })).step, requestOf(bearer(token)));
    expect(asked.headers).toEqual(["host", "orders", ...bearer(token)]);
  });

  test("passes at once the second time, until the token ends", async () => {
    const { step, clock } = stepOf(ruleOf());
    expect(step.ask(requestOf(bearer(token)))).toBeInstanceOf(Promise);
    await pass(step, requestOf(bearer(token)));
    const again = requestOf(bearer(token));
    expect(step.ask(again)).toBeNull();
    expect(again.claims).toEqual(ALICE);
    await clock.advance(631_000);
    expect((await pass(step, requestOf(bearer(token)))).reason).toContain("it ended at");
  });

  test.each<[string, object, readonly string[], string, readonly string[], string]>([
    ["the parameter access_token", {}, [], `/a?x=%2F&access_token=${token}&y`, [], "/a?x=%2F&y"],
    ["the parameter alone", { fromParams: ["t"] }, [], `/a?t=${token}`, [], "/a"],
    ["a parameter's name in escapes", { fromParams: ["t"] }, [], `/a?%74=${token}`, [], "/a"],
    [
      "a header with a prefix",
      { fromHeaders: [{ name: "x-t", prefix: "JWT " }] },
      ["X-T", `JWT ${token}`, "b", "c"],
      "/a",
      ["b", "c"],
      "/a",
    ],
    ["a header without one", { fromHeaders: [{ name: "x-t" }] }, ["x-t", token], "/a", [], "/a"],
    [
      "a cookie among others",
      { fromCookies: ["t"] },
      ["cookie", `a=b; t=${token}; c=d`],
      "/a",
      ["cookie", "a=b; c=d"],
      "/a",
    ],
    ["a cookie alone", { fromCookies: ["t"] }, ["cookie", `t="${token}"`], "/a", [], "/a"],
    ["bearer in small letters", {}, ["authorization", `bearer ${token}`], "/a", [], "/a"],
  ])("from %s, which is taken off what is forwarded", async (_name, fields, headers, target, left, leftTarget) => {
    const { asked, reason } = await pass(stepOf(ruleOf(fields)).step, requestOf(headers, target));
    expect(reason).toBeNull();
    expect(asked.claims).toEqual(ALICE);
    expect(asked.headers).toEqual(["host", "orders", ...left]);
    expect(asked.target).toBe(leftTarget);
  });

  test("writes its payload and claims to headers: texts, numbers and booleans, by dots into maps", async () => {
    const rule = ruleOf({
      outputPayloadToHeader: "x-payload",
      outputClaimToHeaders: [
        { header: "x-group", claim: "group" },
        { header: "x-level", claim: "level" },
        { header: "x-inner", claim: "realm.x" },
        { header: "x-map", claim: "realm" },
        { header: "x-none", claim: "none" },
      ],
    });
    const { asked } = await pass(stepOf(rule).step, requestOf(bearer(token)));
    expect(asked.headers.slice(2)).toEqual([
      "x-payload",
      token.split(".")[1],
      "x-group",
      "admin",
      "x-level",
      "3",
      "x-inner",
      "y",
    ]);
  });

  test("has words of scope as a list, and others where the rule names them", async () => {
    const words = tokenOf(ID, { ...ALICE, scope: "read write", roles: "a b" });
    const { asked } = await pass(stepOf(ruleOf({ spaceDelimitedClaims: ["roles"] })).step, requestOf(bearer(words)));
    expect(asked.claims).toMatchObject({ scope: ["read", "write"], roles: ["a", "b"] });
  });
});

describe("a request without a token", () => {
  test.each([
    ["at all", []],
    ["but with another scheme", ["authorization", "Basic YTpi"]],
    ["but in a place where no rule looks", ["x-token", token]],
  ])("%s passes, and has no principal", async (_name, headers) => {
    const { asked, reason } = await pass(stepOf(ruleOf()).step, requestOf(headers));
    expect([reason, asked.claims, asked.requestPrincipal]).toEqual([null, null, null]);
    expect(asked.headers).toEqual(["host", "orders", ...headers]);
  });

  test("does not pass where a rule requires one, and is told of no error", async () => {
    const { reason, status, headers } = await pass(
      stepOf(ruleOf({ presence: "REQUIRED" })).step,
      requestOf([], "/a?b"),
    );
    expect([reason, status]).toEqual(["it brings no token, and a rule requires one", 401]);
    expect(headers.slice(-2)).toEqual(["www-authenticate", 'Bearer realm="http://orders/a"']);
  });

  test("passes even there, if it is how a browser asks whether it may ask", async () => {
    const asked = requestOf(["origin", "https://x", "access-control-request-method", "GET"], "/a", "OPTIONS");
    expect((await pass(stepOf(ruleOf({ presence: "REQUIRED" })).step, asked)).reason).toBeNull();
  });
});

describe("headers that sidecars write of tokens are nobody else's", () => {
  const rule = ruleOf({
    outputPayloadToHeader: "x-payload",
    outputClaimToHeaders: [{ header: "x-user_group", claim: "none" }],
  });
  const forged = [
    "X-Payload",
    "forged",
    "x_payload",
    "forged",
    "X-User-Group",
    "forged",
    "x-user_group",
    "forged",
    "x-other",
    "kept",
  ];

  test.each([
    ["without a token", []],
    ["with a token that lacks the claim", bearer(token)],
  ])("%s", async (_name, headers) => {
    const { asked } = await pass(stepOf(rule).step, requestOf([...forged, ...headers]));
    const left = asked.headers.filter((_, index) => asked.headers[index - 1] !== "x-payload" || index % 2 === 0);
    expect(left.join(" ")).not.toContain("forged");
    expect(asked.headers).toContain("kept");
  });
});

describe("a request is refused with 401", () => {
  test("for a bad token, and told no more than that", async () => {
    const { reason, status, headers } = await pass(stepOf(ruleOf()).step, requestOf(bearer(bad), '/a"b?access=x'));
    expect([reason, status]).toEqual(['the token is refused: there is no key "other"', 401]);
    expect(headers).toContain("0123456789abcdef");
    expect(headers.slice(-2)).toEqual([
      "www-authenticate",
      'Bearer realm="http://orders/a\\"b", error="invalid_token"',
    ]);
  });

  test("in gRPC's own terms, as UNAUTHENTICATED", async () => {
    const grpc = ["content-type", "application/grpc", ...bearer(bad)];
    const { status, headers } = await pass(stepOf(ruleOf()).step, requestOf(grpc, "/a.B/C", "POST"));
    expect(status).toBe(200);
    expect(headers[headers.indexOf("grpc-status") + 1]).toBe("16");
  });

  test.each<[string, readonly string[], string, string]>([
    ["for two tokens, good as they may be", [...bearer(token), ...bearer(others)], "/a", "there are 2 of them"],
    ["for a good and a bad one", [...bearer(token)], `/a?access_token=${bad}`, "there are 2 of them"],
    ["for two in one header", ["authorization", `Bearer ${token}, Bearer ${token}`], "/a", "not three parts"],
    ["for an empty one", ["authorization", "Bearer "], "/a", "not three parts"],
    ["for a parameter that is not encoded as such", [], "/a?access_token=%zz", "not three parts"],
    [
      "for a token of an issuer that no rule is for",
      bearer(tokenOf(ID, { ...ALICE, iss: "x" })),
      "/a",
      "no rule is for its issuer",
    ],
  ])("%s", async (_name, headers, target, reason) => {
    expect((await pass(stepOf(ruleOf(), OTHERS_RULE).step, requestOf(headers, target))).reason).toContain(reason);
  });

  test("for a token that is known, in a place where its rule does not look", async () => {
    const { step } = stepOf(
      ruleOf(),
      ruleOf({ issuer: "https://other.example", fromHeaders: [{ name: "x-t" }] }, OTHER),
    );
    await pass(step, requestOf(bearer(token)));
    expect((await pass(step, requestOf(["x-t", token]))).reason).toContain("no rule is for its issuer");
  });

  test("with 403 for a token for others, as Envoy has it", async () => {
    expect((await pass(stepOf(ruleOf({ audiences: ["x"] })).step, requestOf(bearer(token)))).status).toBe(403);
  });
});

describe("rules that require several tokens", () => {
  const first = ruleOf({ presence: "REQUIRED" });
  const second = ruleOf(
    { issuer: "https://other.example", fromHeaders: [{ name: "x-t" }], presence: "REQUIRED" },
    OTHER,
  );

  test("take one of each; the last rule's says who the user is", async () => {
    const { asked, reason } = await pass(stepOf(first, second).step, requestOf([...bearer(token), "x-t", others]));
    expect([reason, asked.requestPrincipal]).toEqual([null, "https://other.example/bob"]);
    expect(asked.headers).toEqual(["host", "orders"]);
  });

  test.each<[string, readonly string[]]>([
    ["one is missing", bearer(token)],
    ["the other is missing", ["x-t", others]],
    ["one is bad", [...bearer(bad), "x-t", others]],
    ["there is one more", [...bearer(token), "x-t", others, ...bearer(others)]],
  ])("refuse a request where %s", async (_name, headers) => {
    expect((await pass(stepOf(first, second).step, requestOf(headers))).status).toBe(401);
  });
});

describe("a token in Istio's documentation", () => {
  test("of either of two issuers passes, each with its own principal", async () => {
    const { step } = stepOf(ruleOf(), OTHERS_RULE);
    const principalOf = async (text: string) => (await pass(step, requestOf(bearer(text)))).asked.requestPrincipal;
    expect(await principalOf(token)).toBe("https://id.example/alice");
    expect(await principalOf(others)).toBe("https://other.example/bob");
    expect((await pass(step, requestOf(bearer(bad)))).status).toBe(401);
  });

  test("without the prefix of its rule brings no token", async () => {
    const { step } = stepOf(ruleOf({ fromHeaders: [{ name: "x-t", prefix: "JWT " }] }));
    const { asked, reason } = await pass(step, requestOf(["x-t", token]));
    expect([reason, asked.claims, asked.requestPrincipal]).toEqual([null, null, null]);
  });

  test("a claim that is a list is written to no header", async () => {
    const { step } = stepOf(ruleOf({ outputClaimToHeaders: [{ header: "x-groups", claim: "groups" }] }));
    const { asked, reason } = await pass(step, requestOf(bearer(tokenOf(ID, { ...ALICE, groups: ["a", "b"] }))));
    expect(reason).toBeNull();
    expect(asked.headers).toEqual(["host", "orders"]);
  });
});
