import { describe, expect, test } from "vitest";
import { type Fault, formatFault, locatePlain } from "../../../src/core/located.ts";
import { compilePolicy } from "../../../src/policy/compile.ts";
import { decideTcp } from "../../../src/policy/decide.ts";
import { type AuthorizationPolicy, parseAuthorizationPolicy } from "../../../src/policy/document.ts";
import { nextChangeMs, policiesAt } from "../../../src/policy/grant-times.ts";
import { interpret } from "../../../src/policy/interpret.ts";
import { checkPolicies } from "../../../src/policy/analysis/check/check-policies.ts";
import { DEFAULT_MESH_SETTINGS } from "../../../src/policy/mesh-settings.ts";
import { policyOf } from "../../support/policy-arbitraries.ts";

const FROM = "2026-11-23T10:00:00Z";
const UNTIL = "2026-11-23T12:00:00+02:00";
const FROM_MS = Date.UTC(2026, 10, 23, 10);

function grant(annotations: Readonly<Record<string, string>>, spec: object = { rules: [{}] }, name = "grant"): object {
  const own = Object.fromEntries(Object.entries(annotations).map(([key, value]) => [`cardea.dev/${key}`, value]));
  return {
    apiVersion: "security.istio.io/v1",
    kind: "AuthorizationPolicy",
    metadata: { name, namespace: "shop", annotations: own },
    spec,
  };
}

const GLASS = {
  "break-glass": "true",
  "valid-from": FROM,
  expires: "2026-11-23T11:00:00Z",
  ticket: "INC-7",
  "requested-by": "ada@example.com",
};

function faultsOf(document: object): string {
  const faults: Fault[] = [];
  expect(parseAuthorizationPolicy(locatePlain(document), { file: "p.yaml" }, faults)).toBeNull();
  return faults.map(formatFault).join("\n");
}

describe("a grant's annotations", () => {
  test("say how long it holds, and who asked for what", () => {
    const terms = { expires: "2026-11-23T12:00:00.5+01:00", ticket: "OPS-1 second try", "requested-by": "ada" };
    expect(policyOf(grant(terms)).terms).toEqual({
      fromMs: null,
      untilMs: Date.UTC(2026, 10, 23, 11) + 500,
      ticket: "OPS-1 second try",
      requestedBy: "ada",
      isBreakGlass: false,
    });
    expect(policyOf(grant({})).terms).toBeNull();
  });

  test.each<[string, object, string]>([
    [
      "a name that is misspelt never ends silently",
      grant({ expire: UNTIL }),
      "unknown annotation; did you mean `cardea.dev/expires`?",
    ],
    ["a date without a time", grant({ expires: "2026-11-23" }), "expected a time like 2026-01-31T12:00:00Z (RFC 3339)"],
    ["a time without a zone", grant({ expires: "2026-11-23T10:00:00" }), "expected a time like"],
    ["a day that there is not", grant({ expires: "2026-13-45T10:00:00Z" }), "expected a time like"],
    [
      "an end before its beginning",
      grant({ "valid-from": FROM, expires: FROM }),
      "must be later than cardea.dev/valid-from",
    ],
    ["a ticket of control characters", grant({ ticket: "a\u001B[2Jb" }), "visible ASCII characters"],
    ["a ticket without end", grant({ ticket: "x".repeat(129) }), "at most 128"],
    ["an empty ticket", grant({ ticket: "" }), "cardea.dev/ticket"],
    [
      "a DENY that would end",
      grant({ expires: UNTIL }, { action: "DENY", rules: [{}] }),
      "its action is ALLOW, not DENY",
    ],
    [
      "an AUDIT that would end",
      grant({ expires: UNTIL }, { action: "AUDIT", rules: [{}] }),
      "its action is ALLOW, not AUDIT",
    ],
    ["a glass that anything breaks", grant({ ...GLASS, "break-glass": "yes" }), 'expected "true" or "false"'],
    [
      "a broken glass without an end",
      grant({ "break-glass": "true", ticket: "a", "requested-by": "b" }),
      "needs cardea.dev/valid-from",
    ],
    ["a broken glass of nobody", grant({ ...GLASS, "requested-by": "" }), "cardea.dev/requested-by"],
    [
      "a broken glass for longer than a day",
      grant({ ...GLASS, expires: "2026-11-24T10:00:01Z" }),
      "may last 24 hours at most",
    ],
  ])("%s is refused", (_name, document, message) => {
    expect(faultsOf(document)).toContain(message);
  });

  test("a ticket alone may stand on any policy", () => {
    expect(policyOf(grant({ ticket: "OPS-2" }, { action: "DENY", rules: [{}] })).terms?.ticket).toBe("OPS-2");
  });
});

const WORKLOAD = { namespace: "shop", labels: {} };
const PEER = {
  principal: null,
  sourceIp: "10.0.0.1",
  remoteIp: "10.0.0.1",
  destinationIp: "10.0.0.2",
  destinationPort: 80,
  sni: null,
};

function decide(documents: readonly AuthorizationPolicy[], atMs: number, settings = DEFAULT_MESH_SETTINGS) {
  const then = policiesAt(documents, atMs);
  const decision = decideTcp(compilePolicy(then, WORKLOAD, settings), PEER);
  expect(interpret(then, { workload: WORKLOAD, settings, peer: PEER, request: null })).toEqual(decision);
  return decision;
}

describe("a grant holds", () => {
  const documents = [policyOf(grant({ "valid-from": FROM, expires: "2026-11-23T11:00:00Z", ticket: "OPS-1" }))];
  test.each([
    ["a moment before it begins", FROM_MS - 1, false],
    ["when it begins", FROM_MS, true],
    ["a moment before it ends", FROM_MS + 3_599_999, true],
    ["when it ends", FROM_MS + 3_600_000, false],
    ["long after", FROM_MS + 1e12, false],
  ])("or not: %s", (_name, atMs, expected) => {
    expect(decide(documents, atMs).allow).toBe(expected);
  });

  test("and what it lets through names its ticket", () => {
    expect(decide(documents, FROM_MS)).toEqual({
      allow: true,
      policy: "shop/grant",
      rule: 0,
      reason: "allow-rule-matched",
      ticket: "OPS-1",
    });
  });

  test("no longer, and its end closes even where everything is allowed by default", () => {
    const open = { ...DEFAULT_MESH_SETTINGS, defaultAction: "ALLOW" as const };
    expect(decide([], FROM_MS, open).allow).toBe(true);
    expect(decide(documents, FROM_MS + 3_600_000, open)).toMatchObject({
      allow: false,
      reason: "no-allow-rule-matched",
    });
  });

  test("and the next change is its beginning, then its end, then none", () => {
    const untilMs = FROM_MS + 3_600_000;
    expect([FROM_MS - 1, FROM_MS, untilMs - 1, untilMs].map((ms) => nextChangeMs(documents, ms))).toEqual([
      FROM_MS,
      untilMs,
      untilMs,
      null,
    ]);
  });
});

describe("a broken glass", () => {
  const glass = policyOf(grant(GLASS, { rules: [{}] }, "a-glass"));
  test("lets through what nothing else does, and says so", () => {
    expect(decide([glass], FROM_MS)).toMatchObject({ allow: true, reason: "break-glass", ticket: "INC-7" });
  });

  test("is not what is told where another policy allows it as well, whatever their names", () => {
    const other = policyOf(grant({}, { rules: [{}] }, "z-other"));
    expect(decide([glass, other], FROM_MS)).toMatchObject({ policy: "shop/z-other", reason: "allow-rule-matched" });
  });

  test("never gets past a DENY policy", () => {
    const deny = policyOf(grant({}, { action: "DENY", rules: [{}] }, "deny"));
    expect(decide([glass, deny], FROM_MS)).toMatchObject({ allow: false, policy: "shop/deny" });
  });

  test("is over by itself", () => {
    expect(decide([glass], FROM_MS + 3_600_000).allow).toBe(false);
  });
});

const found = (documents: readonly object[], nowMs: number) => {
  const about = documents.map(policyOf);
  const on = { about, documents: about, settings: DEFAULT_MESH_SETTINGS, workloads: null, nowMs, stepsMax: 1e8 };
  return checkPolicies(on).findings.map(({ code, policy }) => `${code} ${policy}`);
};

describe("policy check says of grants", () => {
  const rules = [{ to: [{ operation: { ports: ["1"] } }] }];
  const until = (expires: string) => grant({ expires, ticket: "OPS-1" }, { rules });

  test.each([
    ["that have ended", "2026-11-23T10:00:00Z", ["grant-ended shop/grant"]],
    ["that end within seven days", "2026-11-30T09:59:59Z", ["grant-ends-soon shop/grant"]],
    ["that last longer: nothing", "2026-11-30T10:00:00Z", []],
  ])("those %s", (_name, expires, expected) => {
    expect(found([until(expires)], FROM_MS)).toEqual(expected);
  });

  test("those that break the glass, while they hold and after", () => {
    expect(found([grant(GLASS, { rules })], FROM_MS)).toEqual(["break-glass shop/grant"]);
    expect(found([grant(GLASS, { rules })], FROM_MS + 3_600_000)).toContain("grant-ended shop/grant");
  });

  test("that a lasting rule is not covered by one that ends, but the other way round", () => {
    const lasting = grant({}, { rules }, "lasting");
    expect(found([until("2027-11-23T10:00:00Z"), lasting], FROM_MS)).toEqual(["shadowed-rule shop/grant"]);
    const wide = grant(
      { expires: "2027-11-23T10:00:00Z" },
      { rules: [{ to: [{ operation: { ports: ["1", "2"] } }] }] },
      "wide",
    );
    expect(found([wide, lasting], FROM_MS)).toEqual([]);
  });
});
