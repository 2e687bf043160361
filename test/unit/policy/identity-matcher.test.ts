import { expect, test } from "vitest";
import { parseTrustDomain } from "../../../src/core/spiffe-id.ts";
import { withAliases } from "../../../src/policy/identity-matcher.ts";
import { DEFAULT_MESH_SETTINGS, type MeshSettings } from "../../../src/policy/mesh-settings.ts";

function mesh(trustDomain: string, aliases: readonly string[]): MeshSettings {
  return {
    ...DEFAULT_MESH_SETTINGS,
    trustDomain: parseTrustDomain(trustDomain),
    trustDomainAliases: aliases.map(parseTrustDomain),
  };
}

// The cases of Istio's TestReplaceTrustDomainAliases (pilot/pkg/security/trustdomain/bundle_test.go).
test.each<[string, string, string[], string, string[]]>([
  ["no alias", "cluster.local", [], "cluster.local/ns/foo/sa/bar", ["cluster.local/ns/foo/sa/bar"]],
  ["any principal", "cluster.local", [], "*", ["*"]],
  ["any trust domain", "cluster.local", [], "*/ns/foo/sa/bar", ["*/ns/foo/sa/bar"]],
  ["one alias", "td2", ["td1"], "td1/ns/foo/sa/bar", ["td2/ns/foo/sa/bar", "td1/ns/foo/sa/bar"]],
  [
    "cluster.local as an alias",
    "td1",
    ["cluster.local"],
    "cluster.local/ns/yyy/sa/zzz",
    ["td1/ns/yyy/sa/zzz", "cluster.local/ns/yyy/sa/zzz"],
  ],
  ["cluster.local as a pointer", "td1", [], "cluster.local/ns/yyy/sa/zzz", ["td1/ns/yyy/sa/zzz"]],
  ["not of an identity's shape", "td1", ["cluster.local"], "*sa/zzz", ["*sa/zzz"]],
  [
    "a star in the trust domain",
    "td2",
    ["foo-td1", "cluster.local"],
    "*-td1/ns/foo/sa/bar",
    ["td2/ns/foo/sa/bar", "*-td1/ns/foo/sa/bar", "cluster.local/ns/foo/sa/bar"],
  ],
  ["another trust domain", "td1", ["td2"], "some-td/ns/foo/sa/bar", ["some-td/ns/foo/sa/bar"]],
  [
    "an alias among several",
    "td1",
    ["td2", "some-td"],
    "some-td/ns/foo/sa/bar",
    ["td1/ns/foo/sa/bar", "td2/ns/foo/sa/bar", "some-td/ns/foo/sa/bar"],
  ],
  ["an empty trust domain", "new-td", ["td2", "td3"], "/ns/some-ns/sa/some-sa", ["/ns/some-ns/sa/some-sa"]],
  ["no duplicates", "new-td", ["old-td"], "*-td/ns/some-ns/sa/some-sa", ["*-td/ns/some-ns/sa/some-sa"]],
])("aliases of a principal: %s", (_name, domain, aliases, principal, wanted) => {
  expect(withAliases(principal, mesh(domain, aliases))).toEqual(wanted);
});
