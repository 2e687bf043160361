import { expect, test } from "vitest";
import { DEFAULT_MESH_SETTINGS } from "../../../src/policy/mesh-settings.ts";

test("where the mesh says nothing, what no policy allows is denied, and no forwarded address is believed", () => {
  expect(DEFAULT_MESH_SETTINGS).toEqual({
    trustDomain: "cluster.local",
    trustDomainAliases: [],
    rootNamespace: "cardea-system",
    enforcement: "ENFORCE",
    defaultAction: "DENY",
    pathNormalization: "BASE",
    numTrustedProxies: 0,
    extensionProviders: [],
  });
});

test("and nobody can change that for all others", () => {
  const { trustDomainAliases, extensionProviders } = DEFAULT_MESH_SETTINGS;
  for (const each of [DEFAULT_MESH_SETTINGS, trustDomainAliases, extensionProviders])
    expect(Object.isFrozen(each)).toBe(true);
});
