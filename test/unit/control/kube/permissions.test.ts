import { expect, test } from "vitest";
import { PERMISSIONS, policyRules } from "../../../../src/control/kube/permissions.ts";

const rights = PERMISSIONS.map(({ resource, verbs, scope, names }) => ({
  what: `${resource.group}/${resource.plural}`,
  verbs,
  scope,
  names,
}));

test("no right is for everything, none deletes, and each says what it is for", () => {
  for (const { resource, verbs, why } of PERMISSIONS) {
    expect([resource.group, resource.plural, ...verbs]).not.toContain("*");
    expect(verbs.filter((verb) => /delete|escalate|impersonate|bind/.test(verb))).toEqual([]);
    expect(why).not.toBe("");
  }
});

test("secrets and leases are ours by name, in our namespace; no secret is ever listed", () => {
  for (const { what, verbs, scope, names } of rights.filter(({ what: name }) => /secrets|leases/.test(name))) {
    expect({ what, scope }).toEqual({ what, scope: "own-namespace" });
    // RBAC cannot hold the creation of an object to a name.
    if (!verbs.includes("create")) expect(names).toHaveLength(1);
    expect(verbs).not.toContain("list");
    expect(verbs).not.toContain("watch");
  }
});

test("what is written in all of the cluster is held to names", () => {
  const writing = rights.filter(({ verbs, scope }) => scope === "cluster" && /update|patch/.test(verbs.join()));
  expect(writing.map(({ what, names }) => [what, names])).toEqual([
    ["/configmaps", ["cardea-root-cert"]],
    ["certificates.k8s.io/clustertrustbundles", ["cardea-root-cert"]],
    // Cluster-wide kinds, so held to our own two by name.
    ["admissionregistration.k8s.io/mutatingwebhookconfigurations", ["cardea-injector"]],
    ["admissionregistration.k8s.io/validatingwebhookconfigurations", ["cardea-validator"]],
  ]);
});

test("roles are rendered from the table, each right in one of them", () => {
  const rendered = [...policyRules("cluster"), ...policyRules("own-namespace")];
  expect(rendered).toHaveLength(PERMISSIONS.length);
  expect(rendered).toContainEqual({
    apiGroups: [""],
    resources: ["secrets"],
    verbs: ["get", "update"],
    resourceNames: ["cardea-ca"],
  });
});
