import { describe, expect, test } from "vitest";
import { parsePolicyFiles } from "../../../src/config/policy-files.ts";
import { explainDecision } from "../../../src/policy/explain.ts";
import { type Asked, questionOf } from "../../support/policy-world.ts";

const POLICIES = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: orders, namespace: shop}
spec:
  selector: {matchLabels: {app: orders}}
  rules:
    - from:
        - source:
            principals: ["cluster.local/ns/shop/sa/admin"]
    - from:
        - source:
            principals: ["cluster.local/ns/shop/sa/web"]
      to:
        - operation:
            methods: ["GET", "HEAD"]
            paths: ["/orders", "/orders/*"]
            ports: ["8080"]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-admin, namespace: shop}
spec:
  action: DENY
  rules:
    - from:
        - source:
            notPrincipals: ["cluster.local/ns/shop/sa/admin"]
      to:
        - operation:
            paths: ["/admin*"]
            ports: ["8080"]
`;
const { documents } = parsePolicyFiles([{ path: "shop.yaml", text: POLICIES }]);

const explain = (asked: Asked) => explainDecision(documents, questionOf(asked), { meshFile: "mesh.yaml" });

describe("a denial that no rule made", () => {
  test("names the rule that came closest, the clause that failed, and where it is written", () => {
    const { decision, nearest, summary, file } = explain({ path: "/orders", method: "POST" });
    expect(decision).toEqual({ allow: false, policy: null, rule: null, reason: "no-allow-rule-matched" });
    expect(file).toBeNull();
    expect(summary).toBe("ALLOW policies select the workload and none of their rules matches");
    const clause = {
      field: "spec.rules[1].to[0].operation.methods",
      line: 15,
      expected: 'one of "GET", "HEAD"',
      actual: '"POST"',
    };
    expect(nearest).toEqual({ policy: "shop/orders", rule: 1, file: "shop.yaml", line: 10, clause, failing: [clause] });
  });

  test("offers exactly what was asked as a grant", () => {
    const { grant, advice } = explain({ path: "/orders", method: "POST" });
    expect(grant).toBe(`apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata:
  name: allow-web-to-orders
  namespace: shop
spec:
  selector:
    matchLabels:
      app: "orders"
  action: ALLOW
  rules:
    - from:
        - source:
            principals: ["cluster.local/ns/shop/sa/web"]
      to:
        - operation:
            methods: ["POST"]
            paths: ["/orders"]
            ports: ["8080"]
`);
    expect(advice).toBe("If this should be allowed, the grant is the smallest policy that does it.");
  });

  test("of equally close rules one whose source fits is named, then the first", () => {
    // Rule 0 wants another identity, rule 1 another path.
    expect(explain({ path: "/x" }).nearest).toMatchObject({ rule: 1, failing: { length: 1 } });
    const stranger = "spiffe://cluster.local/ns/shop/sa/other";
    expect(explain({ path: "/orders", principal: stranger }).nearest).toMatchObject({
      rule: 0,
      failing: { length: 1 },
    });
  });

  test("a caller without identity is granted nothing", () => {
    const { nearest, grant, advice } = explain({ principal: null, path: "/orders" });
    expect(nearest?.clause).toMatchObject({ expected: '"cluster.local/ns/shop/sa/admin"', actual: "no identity" });
    expect(grant).toBeNull();
    expect(advice).toContain("give it a sidecar");
  });

  test("on bytes that are not HTTP the HTTP clauses fail, and the grant has none", () => {
    const { nearest, grant } = explain({
      isTcp: true,
      port: 9000,
      principal: "spiffe://cluster.local/ns/shop/sa/other",
    });
    expect(nearest).toMatchObject({ rule: 0 });
    expect(grant).not.toMatch(/methods|paths/);
    const { nearest: http } = explainDecision(
      [{ ...documents[0]!, rules: [documents[0]!.rules[1]!] }],
      questionOf({ isTcp: true }),
    );
    expect(http?.failing.map((finding) => finding.actual)).toEqual(Array(2).fill("bytes that are not HTTP"));
  });
});

test("the mesh's default is said, with the file that it stands in", () => {
  const asked = { workload: { namespace: "other", labels: {} } };
  expect(explain(asked)).toMatchObject({
    decision: { allow: false, policy: "mesh/default" },
    file: "mesh.yaml",
    nearest: null,
    summary: "no ALLOW policy selects the workload, so the mesh's defaultAction decides: DENY",
  });
  expect(explain({ ...asked, settings: { defaultAction: "ALLOW" } })).toMatchObject({ grant: null, advice: null });
});

test("a DENY rule that matched is named with its clauses; nothing can be granted past it", () => {
  const { decision, file, line, clauses, nearest, grant, advice } = explain({ path: "/admin/x" });
  expect(decision).toMatchObject({ allow: false, policy: "shop/no-admin", rule: 0 });
  expect([file, line]).toEqual(["shop.yaml", 25]);
  expect(clauses).toEqual([
    {
      field: "spec.rules[0].from[0].source.notPrincipals",
      line: 27,
      expected: 'anything but "cluster.local/ns/shop/sa/admin"',
      actual: "spiffe://cluster.local/ns/shop/sa/web",
    },
    { field: "spec.rules[0].to[0].operation.paths", line: 30, expected: '"/admin*"', actual: '"/admin/x"' },
    { field: "spec.rules[0].to[0].operation.ports", line: 31, expected: '"8080"', actual: "8080" },
  ]);
  expect([nearest, grant]).toEqual([null, null]);
  expect(advice).toBe(
    "No ALLOW policy can override a DENY: rule 0 of DENY policy shop/no-admin (shop.yaml:25) itself would have to change.",
  );
});

test("of a DENY rule on bytes that are not HTTP only the clauses that were asked are told", () => {
  const { clauses, decision } = explain({ isTcp: true });
  expect(decision.policy).toBe("shop/no-admin");
  expect(clauses.map((clause) => clause.field.split(".").at(-1))).toEqual(["notPrincipals", "ports"]);
});

test("an allowed request is explained by the rule that allowed it", () => {
  const { decision, file, line, clauses, advice, grant } = explain({ path: "/orders/7" });
  expect(decision).toMatchObject({ allow: true, policy: "shop/orders", rule: 1 });
  expect([file, line, advice, grant]).toEqual(["shop.yaml", 10, null, null]);
  expect(clauses).toHaveLength(4);
});

function denied(asked: Asked): string {
  return explainDecision([], questionOf(asked)).grant ?? "";
}

describe("what a grant looks like", () => {
  test("labels that a rollout changes are left out, odd ones are quoted", () => {
    const labels = { app: "a b: #", "pod-template-hash": "x", "1": "y", "app.kubernetes.io/name": "n" };
    const grant = denied({ workload: { namespace: "shop", labels } });
    expect(grant).toContain('      "1": "y"\n      app: "a b: #"\n      app.kubernetes.io/name: "n"\n  action');
    expect(grant).toContain("name: allow-web-to-a-b");
  });

  test("a workload without labels cannot be told from its neighbours", () => {
    expect(denied({ workload: { namespace: "shop", labels: {} } })).not.toContain("selector");
  });

  test("a name that is taken is counted on", () => {
    const taken = explainDecision(documents, questionOf({ path: "/x" })).grant!;
    const { documents: granted } = parsePolicyFiles([{ path: "g.yaml", text: taken }]);
    const { grant } = explainDecision([...documents, ...granted], questionOf({ path: "/y" }));
    expect(grant).toContain("name: allow-web-to-orders-2\n");
  });

  test("a foreign domain that is called cluster.local is not mistaken for ours", () => {
    const asked = { settings: { trustDomain: "corp.example" } };
    const grant = denied(asked);
    expect(grant).toContain('principals: ["*cluster.local/ns/shop/sa/web"]');
    expect(grant).toContain('trustDomains: ["cluster.local"]');
    const { documents: granted } = parsePolicyFiles([{ path: "g.yaml", text: grant }]);
    expect(explainDecision(granted, questionOf(asked)).decision.allow).toBe(true);
    const ours = { ...asked, principal: "spiffe://corp.example/ns/shop/sa/web" };
    expect(explainDecision(granted, questionOf(ours)).decision.allow).toBe(false);
  });

  test.each(["/a*", "*", "/a{b}", "/{*}"])(
    "a path like %s, which cannot be said exactly, still gets a grant that holds",
    (path) => {
      const { documents: granted, faults } = parsePolicyFiles([{ path: "g.yaml", text: denied({ path }) }]);
      expect(faults).toEqual([]);
      expect(explainDecision(granted, questionOf({ path })).decision.allow).toBe(true);
    },
  );
});
