import { describe, expect, test } from "vitest";
import { parsePolicyFiles } from "../../../src/config/policy-files.ts";
import { explainDecision } from "../../../src/policy/explain.ts";
import { DEFAULT_MESH_SETTINGS } from "../../../src/policy/mesh-settings.ts";
import { interpretUnenforced } from "../../../src/policy/interpret.ts";
import { type Asked, questionOf } from "../../support/policy-world.ts";

// AUDIT policies and dry runs: what they say, and that they never decide.

function policy(name: string, action: string, rules: string, isDryRun = false): string {
  const annotations = isDryRun ? ', annotations: {"istio.io/dry-run": "true"}' : "";
  return `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: ${name}, namespace: shop${annotations}}
spec:
  action: ${action}
  rules: ${rules}
`;
}

const WEB = 'from: [{source: {principals: ["cluster.local/ns/shop/sa/web"]}}]';
const WEB_MAY = policy("web", "ALLOW", `[{${WEB}}]`);
const NO_POST = '[{to: [{operation: {methods: ["POST"]}}]}]';

function explain(texts: readonly string[], asked: Asked, defaultAction: "ALLOW" | "DENY" = "DENY") {
  const { documents, faults } = parsePolicyFiles([{ path: "p.yaml", text: texts.join("---\n") }]);
  expect(faults).toEqual([]);
  const question = { ...questionOf(asked), settings: { ...DEFAULT_MESH_SETTINGS, defaultAction } };
  const { decision, observed } = explainDecision(documents, question);
  return {
    allow: decision.allow,
    policy: decision.policy,
    observed,
    unenforced: interpretUnenforced(documents, question),
  };
}

describe("AUDIT", () => {
  test("marks what it matches and leaves the decision alone", () => {
    const {
      allow,
      policy: by,
      observed,
      unenforced,
    } = explain([WEB_MAY, policy("watch", "AUDIT", NO_POST)], {
      method: "POST",
    });
    expect({ allow, by }).toEqual({ allow: true, by: "shop/web" });
    expect(observed).toEqual([
      "rule 0 of AUDIT policy shop/watch (p.yaml:13) matches: the record is marked, and nothing decided by it",
    ]);
    expect(unenforced).toEqual({ audit: { policy: "shop/watch", rule: 0 }, dryRun: null });
  });

  test("is no ALLOW policy: alone it allows nothing, and with defaultAction ALLOW it closes nothing", () => {
    const all = [policy("watch", "AUDIT", "[{}]")];
    expect(explain(all, {})).toMatchObject({ allow: false, policy: "mesh/default" });
    expect(explain(all, {}, "ALLOW")).toMatchObject({ allow: true, policy: "mesh/default" });
  });

  test("says nothing of what it does not match", () => {
    expect(explain([WEB_MAY, policy("watch", "AUDIT", NO_POST)], { method: "GET" }).observed).toEqual([]);
  });

  test("on bytes that are not HTTP loses its HTTP clauses alone, as DENY does", () => {
    const watch = policy("watch", "AUDIT", `[{${WEB}, to: [{operation: {methods: ["POST"]}}]}]`);
    expect(explain([watch], { isTcp: true }).observed).toHaveLength(1);
    const other = watch.replace("sa/web", "sa/admin");
    expect(explain([other], { isTcp: true }).observed).toEqual([]);
  });
});

describe("a dry run", () => {
  test("of DENY denies nothing, and tells what it would deny", () => {
    const staged = [WEB_MAY, policy("no-post", "DENY", NO_POST, true)];
    const { allow, observed } = explain(staged, { method: "POST" });
    expect(allow).toBe(true);
    expect(observed).toEqual([
      "were the policies in a dry run enforced, this would be denied: rule 0 of DENY policy shop/no-post (p.yaml:13) matches",
    ]);
    expect(explain(staged, { method: "GET" }).observed).toEqual([]);
  });

  test("of ALLOW allows nothing, and is not named as the nearest rule", () => {
    const { documents } = parsePolicyFiles([{ path: "p.yaml", text: policy("web", "ALLOW", `[{${WEB}}]`, true) }]);
    const { decision, nearest, observed } = explainDecision(documents, questionOf({}));
    expect(decision).toMatchObject({ allow: false, policy: "mesh/default" });
    expect(nearest).toBeNull();
    expect(observed).toEqual([expect.stringContaining("this would be allowed: rule 0 of ALLOW policy shop/web")]);
  });

  test("of the first ALLOW policy does not close the workload under defaultAction ALLOW, and tells that it would", () => {
    const admin = policy("admin", "ALLOW", `[{${WEB.replace("sa/web", "sa/admin")}}]`, true);
    const { allow, observed } = explain([admin], {}, "ALLOW");
    expect(allow).toBe(true);
    expect(observed).toEqual([
      "were the policies in a dry run enforced, this would be denied: ALLOW policies select the workload and none of their rules matches",
    ]);
  });

  test("beside an enforced policy that decides the same tells nothing", () => {
    const twice = [WEB_MAY, policy("web-too", "ALLOW", `[{${WEB}}]`, true)];
    expect(explain(twice, {}).observed).toEqual([]);
  });

  test("of ALLOW does not override an enforced DENY", () => {
    const denied = [policy("no-post", "DENY", NO_POST), policy("web", "ALLOW", `[{${WEB}}]`, true)];
    expect(explain(denied, { method: "POST" })).toMatchObject({ allow: false, policy: "shop/no-post", observed: [] });
  });
});
