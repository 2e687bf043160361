import { describe, expect, test } from "vitest";
import { parsePolicyFiles } from "../../../../src/config/policy-files.ts";
import { readReview } from "../../../../src/control/admission/review.ts";
import { reviewPolicy } from "../../../../src/control/admission/review-policy.ts";
import type { PolicyWorld } from "../../../../src/control/admission/staged-report.ts";
import type { Verdict } from "../../../../src/control/admission/verdict.ts";
import { spiffeIdFor } from "../../../../src/core/spiffe-id.ts";
import { DEFAULT_MESH_SETTINGS } from "../../../../src/policy/mesh-settings.ts";
import { admissionReview, bytesOf } from "../../../support/admission-review.ts";

function workload(namespace: string, name: string, labels: Readonly<Record<string, string>>) {
  return { name, namespace, serviceAccount: name, spiffeId: spiffeIdFor("cluster.local", namespace, name), labels };
}

const WORLD: PolicyWorld = {
  settings: DEFAULT_MESH_SETTINGS,
  nowMs: () => Date.parse("2026-11-23T12:00:00Z"),
  workloads: () => [
    workload("shop", "ledger-0", { app: "ledger" }),
    workload("shop", "ledger-1", { app: "ledger" }),
    workload("shop", "web-0", { app: "web" }),
    workload("bank", "vault-0", { app: "vault" }),
  ],
  policies: () => [],
  authentication: () => [],
  traffic: () => [],
  services: () => new Set(["ledger.shop.svc.cluster.local"]),
};

const PEER = { from: [{ source: { namespaces: ["shop"] } }] };

function policy(spec: object, metadata: object = {}): Record<string, unknown> {
  const named = { name: "ledger", namespace: "shop", ...metadata };
  return { apiVersion: "security.istio.io/v1", kind: "AuthorizationPolicy", metadata: named, spec };
}

function ask(object: Record<string, unknown>, more: Record<string, unknown> = {}, world = WORLD): Verdict {
  const kind = { group: "security.istio.io", version: "v1", kind: object["kind"] };
  const read = readReview(bytesOf(admissionReview({ kind, name: "ledger", object, ...more })));
  if (read.is !== "request") return expect.unreachable();
  return reviewPolicy(read.request, world);
}

const update = (oldObject: Record<string, unknown>) => ({ operation: "UPDATE", oldObject });
const LEDGER = { selector: { matchLabels: { app: "ledger" } }, rules: [PEER] };

function users(spec: object): Record<string, unknown> {
  return { ...policy(spec), kind: "RequestAuthentication" };
}

describe("a RequestAuthentication", () => {
  test("is admitted, and its author told whom it touches", () => {
    const { allowed, warnings } = ask(
      users({ selector: { matchLabels: { app: "web" } }, jwtRules: [{ issuer: "x" }] }),
    );
    expect([allowed, warnings]).toEqual([true, ["selects 1 workload: shop/web-0 (app=web in namespace shop)"]]);
  });

  test("that is faulty is refused with what `cardea policy check` says", () => {
    expect(ask(users({ jwtRules: [{ jwksUri: "ftp://x" }] }))).toMatchObject({ allowed: false, code: 422 });
  });
});

const grantUntil = (time: string) =>
  ask(policy({ rules: [PEER] }, { annotations: { "cardea.dev/expires": time, "cardea.dev/ticket": "OPS-1" } }));

const grantCodes = ({ warnings }: Verdict) => warnings.flatMap((text) => /\[(grant-[a-z-]+)\]$/.exec(text)?.[1] ?? []);

describe("a good policy is admitted, and its author told whom it touches", () => {
  test("by name and number", () => {
    expect(ask(policy(LEDGER))).toEqual({
      allowed: true,
      warnings: ["selects 2 workloads: shop/ledger-0, shop/ledger-1 (app=ledger in namespace shop)"],
    });
  });

  test("nobody: the label is misspelt", () => {
    const { warnings } = ask(policy({ ...LEDGER, selector: { matchLabels: { app: "leger" } } }));
    expect(warnings).toEqual(["selects none of the 4 workloads that are there (app=leger in namespace shop)"]);
  });

  test("a policy that decides nothing says so, and what it did until now", () => {
    const dryRun = policy(LEDGER, { annotations: { "istio.io/dry-run": "true" } });
    expect(ask(dryRun).warnings).toContain("is in a dry run: what it would change is recorded, and nothing enforced");
    expect(ask(dryRun, update(policy(LEDGER))).warnings.join()).toMatch(
      /is in a dry run: .*; until now it was enforced/,
    );
    const audit = policy({ ...LEDGER, action: "AUDIT" });
    expect(ask(audit).warnings).toContain("only marks what it matches in the flow records");
    expect(ask(audit, update(dryRun)).warnings.join()).not.toContain("until now");
  });

  test("all of the mesh, from the root namespace", () => {
    const { warnings } = ask(policy({ rules: [PEER] }, { namespace: "cardea-system" }));
    expect(warnings[0]).toMatch(/^selects 4 workloads: .*\(all of all namespaces\)$/);
  });

  test("whom it lets go of", () => {
    const { warnings } = ask(policy(LEDGER), update(policy({ rules: [PEER] })));
    expect(warnings).toContain("no longer selects 1 workload: shop/web-0");
  });

  test("whom it closes, where the mesh allows what nobody speaks of", () => {
    const open = { ...WORLD, settings: { ...DEFAULT_MESH_SETTINGS, defaultAction: "ALLOW" as const } };
    expect(ask(policy(LEDGER), {}, open).warnings).toContain(
      "is the first ALLOW policy of 2 workloads: shop/ledger-0, shop/ledger-1: whatever no policy allows is denied there from now on",
    );
    const others = parsePolicyFiles([
      { path: "p", text: JSON.stringify(policy(LEDGER, { name: "before" })) },
    ]).documents;
    expect(ask(policy(LEDGER), {}, { ...open, policies: () => others }).warnings.join()).not.toContain("first ALLOW");
  });

  test("what policy check would warn of", () => {
    const rules = [{ to: [{ operation: { methods: ["get"] } }] }];
    expect(ask(policy({ ...LEDGER, rules })).warnings.join()).toContain("methods are compared with case");
  });

  test("a rule that policies in force cover already, but not by itself as it was until now", () => {
    const others = parsePolicyFiles([
      { path: "p", text: JSON.stringify(policy({ rules: LEDGER.rules }, { name: "wide" })) },
    ]).documents;
    const world = { ...WORLD, policies: () => others };
    expect(ask(policy(LEDGER), {}, world).warnings.join()).toContain(
      "is matched by rule 0 of shop/wide (p:1) as well [shadowed-rule]",
    );
    expect(
      ask(
        policy(LEDGER),
        {},
        { ...WORLD, policies: () => parsePolicyFiles([{ path: "p", text: JSON.stringify(policy(LEDGER)) }]).documents },
      ).warnings.join(),
    ).not.toContain("shadowed-rule");
  });

  test("a grant that ends soon, and one that has ended", () => {
    expect(grantCodes(grantUntil("2026-11-23T20:00:00Z"))).toEqual(["grant-ends-soon"]);
    expect(grantCodes(grantUntil("2026-11-23T11:00:00Z"))).toEqual(["grant-ended"]);
    expect(grantCodes(grantUntil("2027-11-23T11:00:00Z"))).toEqual([]);
    expect(grantUntil("2026-11-23T20:00:00Z").warnings.join("\n")).toContain("the grant (OPS-1) ends in 8 hours");
  });

  test("a policy that the server has yet to name", () => {
    const object = policy(LEDGER);
    const metadata = { generateName: "ledger-" };
    expect(ask({ ...object, metadata }, { name: "" })).toMatchObject({ allowed: true });
  });
});

function rule(spec: object) {
  const metadata = { name: "ledger", namespace: "shop" };
  return { apiVersion: "networking.istio.io/v1", kind: "DestinationRule", metadata, spec };
}

describe("a traffic rule is held against what is there", () => {
  test("a host that nobody has is a warning", () => {
    expect(ask(rule({ host: "leger" }))).toMatchObject({
      allowed: true,
      warnings: ["no service has the host leger.shop.svc.cluster.local"],
    });
    expect(ask(rule({ host: "ledger" }))).toEqual({ allowed: true, warnings: [] });
  });

  test("a field that nobody knows refuses it", () => {
    const verdict = ask(rule({ host: "ledger", trafficPolice: {} }));
    expect(verdict).toMatchObject({ allowed: false, code: 422 });
    expect(verdict).toHaveProperty("message", "spec.trafficPolice: unknown field; did you mean `trafficPolicy`?");
  });
});

describe("a bad policy is refused in the words of policy check", () => {
  test.each<[string, Record<string, unknown>]>([
    ["an unknown field", policy({ selectr: {} })],
    ["an action that is none", policy({ action: "PERMIT" })],
    ["an action of a later version", policy({ action: "CUSTOM", provider: { name: "x" } })],
    ["a DENY policy that never matches", policy({ action: "DENY" })],
    ["a wildcard in a selector", policy({ selector: { matchLabels: { app: "*" } } })],
    ["rules that are a map", policy({ rules: {} })],
    ["a port that is none", policy({ rules: [{ to: [{ operation: { ports: ["http"] } }] }] })],
    ["a dry run that is neither true nor false", policy({}, { annotations: { "istio.io/dry-run": "yes" } })],
    ["a dry run of what decides nothing", policy({ action: "AUDIT" }, { annotations: { "istio.io/dry-run": "true" } })],
    ["no spec", { ...policy({}), spec: undefined }],
    ["a spec that is a text", { ...policy({}), spec: "ALLOW" }],
    ["another API version", { ...policy({}), apiVersion: "security.istio.io/v2" }],
    ["a kind of a later version", { ...policy({}), kind: "Gateway" }],
    ["a kind that is none of ours", { ...policy({}), kind: "ConfigMap" }],
  ])("%s", (_name, object) => {
    const verdict = ask(object);
    const { faults } = parsePolicyFiles([{ path: "f", text: JSON.stringify(object) }]);
    expect(faults.length).toBeGreaterThan(0);
    const said = faults.map(({ field, message }) => (field === "" ? message : `${field}: ${message}`));
    expect(verdict).toEqual({ allowed: false, code: 422, message: said.join("\n"), warnings: [] });
  });

  test("two faults are told at once", () => {
    const verdict = ask(policy({ action: "PERMIT", selectr: {} }));
    expect(verdict).toHaveProperty("message", expect.stringMatching(/selectr.*\n.*PERMIT/));
  });

  test("an update that makes a good one bad", () => {
    expect(ask(policy({ selectr: {} }), update(policy(LEDGER)))).toMatchObject({ allowed: false });
  });

  test("an update that adds a second fault", () => {
    const verdict = ask(policy({ action: "PERMIT", selectr: {} }), update(policy({ selectr: {} })));
    expect(verdict).toMatchObject({ allowed: false });
  });
});

describe("a bad policy that is there already", () => {
  test("can be labelled, and is said to be without effect", () => {
    const verdict = ask(policy({ selectr: {} }, { labels: { team: "a" } }), update(policy({ selectr: {} })));
    expect(verdict).toMatchObject({ allowed: true });
    expect(verdict.warnings[0]).toMatch(/^still not in force: spec\.selectr/);
  });

  test("can be deleted: its finalizers come off", () => {
    const bad = policy({ selectr: {} }, { deletionTimestamp: "2026-11-22T00:00:00Z" });
    expect(ask(bad, update(policy(LEDGER)))).toEqual({ allowed: true, warnings: [] });
  });
});
