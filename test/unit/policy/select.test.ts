import { expect, test } from "vitest";
import { whyNobodyIsAsked } from "../../../src/policy/custom.ts";
import { DEFAULT_MESH_SETTINGS } from "../../../src/policy/mesh-settings.ts";
import { isEnforcedAs, policiesFor, selectPolicies } from "../../../src/policy/select.ts";
import { providerOf } from "../../support/asked-outside.ts";
import { policyOf } from "../../support/policy-arbitraries.ts";

function named(id: string, fields: { readonly action?: string; readonly annotations?: object } = {}) {
  const [namespace, name] = id.split("/");
  const { action = "ALLOW", annotations = {} } = fields;
  return policyOf({
    apiVersion: "security.istio.io/v1",
    kind: "AuthorizationPolicy",
    metadata: { name, namespace, annotations },
    spec: { action, rules: [{}] },
  });
}

const BREAK_GLASS = {
  "cardea.dev/break-glass": "true",
  "cardea.dev/valid-from": "2026-03-01T12:00:00Z",
  "cardea.dev/expires": "2026-03-01T13:00:00Z",
  "cardea.dev/ticket": "T-1",
  "cardea.dev/requested-by": "ann",
};

test.each([
  ["ALLOW", "ALLOW", false, true],
  ["ALLOW", "DENY", false, false],
  ["DENY", "DENY", false, true],
  ["DENY", "ALLOW", false, false],
  ["ALLOW", "ALLOW", true, false],
  ["ALLOW", "DENY", true, false],
  ["DENY", "DENY", true, false],
  ["ALLOW", "AUDIT", false, false],
] as const)("as %s a policy of the action %s (dry run: %s) takes part: %s", (as, action, isDryRun, wanted) => {
  const annotations = isDryRun ? { "istio.io/dry-run": "true" } : {};
  expect(isEnforcedAs(as, named("shop/p", { action, annotations }))).toBe(wanted);
});

test("policies come by namespace and name, by code unit, and those that break the glass last", () => {
  const plain = ["a/b", "a/c", "b/a", "b/a-1", "b/a.1", "b/a1"].map((id) => named(id));
  const glass = ["a/a", "b/0"].map((id) => named(id, { annotations: BREAK_GLASS }));
  const ticket = named("b/z", { annotations: { "cardea.dev/ticket": "T-2" } });
  const wanted = [...plain, ticket, ...glass].map(({ id }) => id);
  const all = [...plain, ticket, ...glass];
  const orders = [
    all,
    all.toReversed(),
    [...glass, ...plain, ticket],
    all.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
  ];
  for (const documents of orders) {
    const selected = ["a", "b"].map((namespace) => selectPolicies(documents, { namespace, labels: {} }, "b"));
    expect(selected[0]!.map(({ id }) => id)).toEqual(wanted);
    expect(selected[1]!.map(({ id }) => id)).toEqual(wanted.filter((id) => id.startsWith("b/")));
  }
});

test("why nobody can be asked is said by what the mesh has", () => {
  const providers = ["opa", "other"].map((name) =>
    providerOf({ name, envoyExtAuthzGrpc: { service: "opa.tools.svc.cluster.local", port: 9191 } }),
  );
  const why = (provider: string, extensionProviders = providers) => {
    const custom = { ...named("shop/p"), action: "CUSTOM" as const, provider };
    return whyNobodyIsAsked(custom, { ...DEFAULT_MESH_SETTINGS, extensionProviders });
  };
  expect(why("third")).toBe("the mesh has no extension provider third");
  expect(why("opa", [])).toBe("the mesh has no extension provider opa");
  for (const known of ["opa", "other"])
    expect(why(known)).toBe("the workload's CUSTOM policies name more than one provider");
});

function asking(name: string, provider: string) {
  return policyOf({
    apiVersion: "security.istio.io/v1",
    kind: "AuthorizationPolicy",
    metadata: { name, namespace: "shop" },
    spec: { action: "CUSTOM", provider: { name: provider }, rules: [{}] },
  });
}

const CUSTOM = "CUSTOM";
test.each<readonly [string, readonly string[], readonly string[], string]>([
  ["it is of a provider that the mesh does not have", ["third"], ["opa", "other"], "DENY"],
  ["the mesh has none at all", ["opa"], [], "DENY"],
  ["they name two", ["opa", "other"], ["opa", "other"], "DENY"],
  ["they name two, of which the mesh has one", ["opa", "third"], ["opa"], "DENY"],
  ["they name three", ["opa", "other", "third"], ["opa", "other", "third"], "DENY"],
  ["they name one that the mesh has", ["opa", "opa"], ["other", "opa"], CUSTOM],
  ["it names one that the mesh has", ["other"], ["opa", "other"], CUSTOM],
])("where %s, CUSTOM policies of %j with providers %j are %s, and all others stay", (_why, names, known, wanted) => {
  const extensionProviders = known.map((name) =>
    providerOf({ name, envoyExtAuthzGrpc: { service: "opa.tools.svc.cluster.local", port: 9191 } }),
  );
  const others = [named("shop/a"), named("shop/b", { action: "DENY" }), named("shop/c", { action: "AUDIT" })];
  const custom = names.map((name, i) => asking(`x${i}`, name));
  const settings = { ...DEFAULT_MESH_SETTINGS, extensionProviders };
  const all = policiesFor([...custom, ...others], { namespace: "shop", labels: {} }, settings);
  expect(all.map(({ action }) => action)).toEqual(["ALLOW", "DENY", "AUDIT", ...names.map(() => wanted)]);
  // What they match stays as it is.
  for (const [i, policy] of all.slice(3).entries()) expect(policy).toEqual({ ...custom[i]!, action: wanted });
});

test("policies none of which asks anybody are left as they are", () => {
  const plain = [named("shop/a"), named("shop/b", { action: "DENY" })];
  expect(policiesFor(plain, { namespace: "shop", labels: {} }, DEFAULT_MESH_SETTINGS)).toEqual(plain);
});
