import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parseEvalLine } from "../../../src/cli/eval-request.ts";
import { parsePolicyFiles } from "../../../src/config/policy-files.ts";
import { formatFault } from "../../../src/core/located.ts";
import { type PolicyTestReport, runPolicyTests } from "../../../src/policy/analysis/run-policy-tests.ts";
import { DEFAULT_MESH_SETTINGS } from "../../../src/policy/mesh-settings.ts";

const POLICIES = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: orders, namespace: shop}
spec:
  selector: {matchLabels: {app: orders}}
  rules:
    - from: [{source: {principals: ["cluster.local/ns/shop/sa/web"]}}]
      to: [{operation: {methods: [GET], paths: ["/orders*"], ports: ["8080"]}}]
    - from: [{source: {principals: ["cluster.local/ns/shop/sa/admin"]}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-delete, namespace: shop}
spec:
  action: DENY
  rules:
    - to: [{operation: {methods: [DELETE], ports: ["8080"]}}]
`;

/** A PolicyTest of the rows given, each one line of YAML; their destination is orders unless they name another. */
function document(rows: readonly string[], spec = "to: shop/orders:8080"): string {
  const lines = rows.map((row) => `    - ${row}`).join("\n");
  return `apiVersion: cardea.dev/v1\nkind: PolicyTest\nmetadata: {name: t}\nspec:\n  ${spec}\n  tests:\n${lines}\n`;
}

function run(...rows: string[]): PolicyTestReport {
  const { documents, tests, faults } = parsePolicyFiles([
    { path: "policies.yaml", text: POLICIES },
    { path: "tests.yaml", text: document(rows) },
  ]);
  expect(faults).toEqual([]);
  return runPolicyTests(tests, {
    documents,
    settings: DEFAULT_MESH_SETTINGS,
    normalizePath: (path) => (path.includes("%00") ? null : path.replace("/./", "/")),
  });
}

function outcome(row: string): "passed" | "failed" {
  const { results } = run(row);
  expect(results.length).toBeGreaterThan(0);
  return results.every((result) => result.isPassed) ? "passed" : "failed";
}

describe("rows that hold", () => {
  test.each([
    "{name: a, from: shop/web, request: {method: GET, path: /orders}, expect: allow}",
    "{name: the policy that decides, from: shop/web, request: {path: /orders}, expect: allow, policy: shop/orders}",
    "{name: by principal, from: cluster.local/ns/shop/sa/web, request: {path: /orders}, expect: allow}",
    "{name: by map, from: {namespace: shop, serviceAccount: web, ip: 10.0.0.1}, request: {path: /orders}, expect: allow}",
    "{name: by map of a principal, from: {principal: 'spiffe://x/y'}, request: {path: /orders}, expect: deny}",
    "{name: nobody, from: anonymous, request: {path: /orders}, expect: deny}",
    "{name: nobody by map, from: {anonymous: true}, request: {path: /orders}, expect: deny}",
    "{name: a table, from: [shop/other, x/web], request: {methods: [GET, PUT], paths: [/orders, /x]}, expect: deny}",
    "{name: as normalised, from: shop/web, request: {path: /./orders}, expect: allow}",
    "{name: a refused path, from: shop/admin, request: {path: /orders%00}, expect: deny}",
    "{name: a DENY by name, from: shop/admin, request: {method: DELETE}, expect: deny, policy: shop/no-delete}",
    "{name: bytes, from: shop/admin, to: 'shop/orders:1', protocol: tcp, expect: allow}",
    "{name: bytes without saying so, from: shop/web, to: 'shop/orders:1', expect: deny}",
    "{name: another workload, from: shop/web, to: {namespace: shop, labels: {app: x}, port: 8080}, request: {path: /orders}, expect: deny, policy: mesh/default}",
  ])("%s", (row) => {
    expect(outcome(row)).toBe("passed");
  });
});

describe("rows that do not hold", () => {
  test.each([
    "{name: allowed after all, from: shop/web, request: {path: /orders}, expect: deny}",
    "{name: denied after all, from: shop/web, request: {path: /x}, expect: allow}",
    "{name: one cell of a table, from: [shop/web, shop/other], request: {path: /orders}, expect: allow}",
    "{name: by another policy, from: shop/admin, request: {path: /}, expect: allow, policy: shop/no-delete}",
    "{name: denied by another, from: shop/web, request: {path: /x}, expect: deny, policy: shop/no-delete}",
    "{name: a refused path is no policy's doing, from: shop/web, request: {path: /%00}, expect: deny, policy: shop/no-delete}",
    "{name: a refused path, from: shop/admin, request: {path: /%00}, expect: allow}",
  ])("%s", (row) => {
    expect(outcome(row)).toBe("failed");
  });

  test("say what decided, and what came closest, with its place", () => {
    const { results } = run("{name: a, from: shop/web, request: {method: PUT, path: /orders}, expect: allow}");
    expect(results).toEqual([
      {
        test: "t",
        file: "tests.yaml",
        line: 7,
        name: "a",
        asked: "shop/web → shop/orders:8080 PUT /orders",
        expected: "allow",
        actual: "deny",
        decision: { allow: false, policy: null, rule: null, reason: "no-allow-rule-matched" },
        isPassed: false,
        why: expect.stringMatching(
          /^ALLOW policies select .*; nearest is rule 0 of shop\/orders, whose spec\.rules\[0\]\.to\[0\]\.operation\.methods \(policies\.yaml:8\) wants "GET", found "PUT"$/,
        ),
      },
    ]);
  });
});

describe("coverage", () => {
  test("is of every rule, and a rule is covered when a case matches it", () => {
    const { coverage } = run("{name: a, from: shop/web, request: {path: /orders}, expect: allow}");
    expect(coverage.map(({ policy, rule, line, isCovered }) => [policy, rule, line, isCovered])).toEqual([
      ["shop/orders", 0, 7, true],
      ["shop/orders", 1, 9, false],
      ["shop/no-delete", 0, 17, false],
    ]);
  });

  test("counts a rule that another one forestalled", () => {
    const { coverage } = run("{name: a, from: shop/admin, request: {method: DELETE}, expect: deny}");
    expect(coverage.map((rule) => rule.isCovered)).toEqual([false, true, true]);
  });

  test("is not had by a refused path", () => {
    const { coverage } = run("{name: a, from: shop/admin, request: {path: /%00}, expect: deny}");
    expect(coverage.some((rule) => rule.isCovered)).toBe(false);
  });
});

describe("rows that are no tests", () => {
  test.each<[string, string, string]>([
    [
      "an unknown field",
      "{name: a, form: shop/web, expect: deny}",
      "tests[0].form: unknown field; did you mean `from`?",
    ],
    ["no expectation", "{name: a, from: shop/web}", "tests[0].expect: is required"],
    ["another expectation", "{name: a, from: shop/web, expect: dney}", "did you mean `deny`?"],
    ["no caller", "{name: a, expect: deny}", "tests[0].from: is required"],
    ["an empty list of callers", "{name: a, from: [], expect: deny}", "tests[0].from: must not be an empty list"],
    [
      "a caller that is no identity",
      "{name: a, from: web, expect: deny}",
      "expected namespace/serviceAccount, a SPIFFE ID or anon",
    ],
    ["half a caller", "{name: a, from: {namespace: shop}, expect: deny}", "needs one of: principal; namespace and"],
    ["two callers in one", "{name: a, from: {principal: a/b, anonymous: true}, expect: deny}", "needs one of"],
    ["nobody, denied", "{name: a, from: {anonymous: false}, expect: deny}", "needs one of"],
    ["no address", "{name: a, from: {anonymous: true, ip: x}, expect: deny}", "from.ip: expected an IP address"],
    [
      "a destination without port",
      "{name: a, from: shop/web, to: shop/orders, expect: deny}",
      "expected namespace/app:port",
    ],
    [
      "a request on TCP",
      "{name: a, from: shop/web, protocol: tcp, request: {}, expect: deny}",
      "cannot have a request",
    ],
    ["HTTP without request", "{name: a, from: shop/web, protocol: http, expect: deny}", "needs a request"],
    [
      "method twice",
      "{name: a, from: shop/web, request: {method: GET, methods: [GET]}, expect: deny}",
      "both `method`",
    ],
    [
      "path twice",
      "{name: a, from: shop/web, request: {path: /, paths: [/]}, expect: deny}",
      "both `path` and `paths`",
    ],
    ["an empty list of paths", "{name: a, from: shop/web, request: {paths: []}, expect: deny}", "must not be an empty"],
  ])("%s", (_name, row, message) => {
    const { tests, faults } = parsePolicyFiles([{ path: "t.yaml", text: document([row]) }]);
    expect(tests).toEqual([]);
    expect(faults.length).toBeGreaterThan(0);
    expect(faults.map(formatFault).join("\n")).toContain(message);
  });

  test("a row and its document both without destination", () => {
    const text = document(["{name: a, from: shop/web, expect: deny}"], "").replace("  \n", "");
    expect(parsePolicyFiles([{ path: "t.yaml", text }]).faults.map(formatFault)).toEqual([
      "t.yaml:6:7: spec.tests[0]: needs a destination: `to` here, or one in spec for all tests",
    ]);
  });

  test("a document without rows tests nothing", () => {
    const text = document([]).replace("tests:\n", "tests: []");
    expect(parsePolicyFiles([{ path: "t.yaml", text }]).faults[0]?.message).toContain("must not be an empty list");
  });
});

test("what the guide shows is what is read", () => {
  const guide = readFileSync(new URL("../../../docs/guides/testing-policies.md", import.meta.url), "utf8");
  const [yaml] = /(?<=```yaml\n)[^`]+/.exec(guide) ?? [];
  const { tests, faults } = parsePolicyFiles([{ path: "guide.yaml", text: yaml! }]);
  expect(faults).toEqual([]);
  expect(tests[0]?.cases).toHaveLength(2 + 3 + 9 + 1 + 1);
  const [json] = /(?<=```json\n)[^\n]+/.exec(guide) ?? [];
  expect(parseEvalLine(json!, { file: "guide", line: 1 })).toMatchObject({ kind: "request", request: { id: "1" } });
});
