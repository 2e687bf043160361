import { expect, test } from "vitest";
import { parseSpiffeId, parseTrustDomain } from "../../../src/core/spiffe-id.ts";
import { namespaceMatcher, serviceAccountMatcher, withAliases } from "../../../src/policy/identity-matcher.ts";
import { DEFAULT_MESH_SETTINGS } from "../../../src/policy/mesh-settings.ts";

const SETTINGS = {
  ...DEFAULT_MESH_SETTINGS,
  trustDomain: parseTrustDomain("new.example"),
  trustDomainAliases: ["old.example", "local"].map(parseTrustDomain),
};
const WEB = "/ns/a/sa/web";
const ALL = [`new.example${WEB}`, `old.example${WEB}`, `local${WEB}`];

test.each(["far.example", "far*", "newx*", "new.examplx", "xlocal", "*xexample", "*far", "*"])(
  "a principal of %s is nobody of this mesh's other names",
  (domain) => {
    expect(withAliases(`${domain}${WEB}`, SETTINGS)).toEqual([`${domain}${WEB}`]);
  },
);

test.each(["new.example", "local/ns/a", "local/ns/a/sa", `local${WEB}/x`, "*", ""])(
  "%s is no principal's full name, and is left alone",
  (pattern) => {
    expect(withAliases(pattern, SETTINGS)).toEqual([pattern]);
  },
);

test.each([
  ["new.example", ALL],
  ["old.example", ALL],
  ["local", ALL],
  ["cluster.local", ALL],
  ["new*", ALL],
  ["*.example", [`*.example${WEB}`, `local${WEB}`]],
])("a principal of %s is one of all the mesh's names: %j", (domain, wanted) => {
  expect(withAliases(`${domain}${WEB}`, SETTINGS)).toEqual(wanted);
});

test.each<readonly [string, string, boolean]>([
  ["a", "spiffe://far.example/ns/a/sa/web", false],
  ["a", "spiffe://cluster.local/ns/a/sa/web", false],
  // A namespace's beginning and end do not overlap, and its middle lies between them.
  ["aa*a", "spiffe://local/ns/aa/sa/web", false],
  ["a*b*b", "spiffe://local/ns/ab/sa/web", false],
  ["a", "spiffe://new.example/ns/a/sa/web", true],
  ["a", "spiffe://old.example/ns/a/sa/web", true],
  ["a", "spiffe://local/ns/a/sa/web", true],
  ["aa*a", "spiffe://local/ns/aaa/sa/web", true],
  ["a*b*b", "spiffe://local/ns/abb/sa/web", true],
])("what grants the namespace %s takes %s: %s", (pattern, id, wanted) => {
  expect(namespaceMatcher([pattern], SETTINGS, false)(parseSpiffeId(id))).toBe(wanted);
});

test.each<readonly [string, boolean]>([
  ["spiffe://ns/a/sa/web", false],
  ["spiffe://x/ns/a/sa/web2", false],
  ["spiffe://x/ns/a/web", false],
  ["spiffe://x/ns/b/sa/web", false],
  ["spiffe://x/ns/a/sa/web", true],
  ["spiffe://far.example/ns/a/sa/web/sa/web2", true],
  ["spiffe://far.example/ns/a/sa/web2/sa/web", true],
  ["spiffe://far.example/ns/a/region/x/sa/web/y", true],
])("what denies the account a/web takes %s: %s", (id, wanted) => {
  expect(serviceAccountMatcher(["a/web"], "b", SETTINGS, true)(parseSpiffeId(id))).toBe(wanted);
});
