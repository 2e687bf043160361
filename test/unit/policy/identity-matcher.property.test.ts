import * as fc from "fast-check";
import { expect, test, vi } from "vitest";
import { parseSpiffeId, parseTrustDomain, type SpiffeId } from "../../../src/core/spiffe-id.ts";
import {
  type IdentityMatcher,
  localDomains,
  namespaceMatcher,
  principalMatcher,
  serviceAccountMatcher,
  trustDomainMatcher,
  withAliases,
} from "../../../src/policy/identity-matcher.ts";
import { DEFAULT_MESH_SETTINGS, type MeshSettings } from "../../../src/policy/mesh-settings.ts";
import { expectSeen, propertyRuns } from "../../support/property-runs.ts";

// Matchers against the regular expressions that Istio writes for the same values, over identities of every shape.

vi.setConfig({ testTimeout: 60_000 });
const RUNS = propertyRuns(5_000);

const DOMAINS = ["cluster.local", "old.local", "far", "ns", "a"];
const meshes: fc.Arbitrary<MeshSettings> = fc
  .tuple(fc.constantFrom(...DOMAINS), fc.subarray(DOMAINS, { maxLength: 2 }))
  .map(([domain, aliases]) => ({
    ...DEFAULT_MESH_SETTINGS,
    trustDomain: parseTrustDomain(domain),
    trustDomainAliases: aliases.map(parseTrustDomain),
  }));

const step = fc.constantFrom("ns", "sa", "a", "b", "ab", "aa", "aba", "web");
const names = fc.constantFrom("a", "b", "ab", "aa", "aba", "ns", "sa", "web");
/** Of the usual shape, with something before, between and after, and of any. */
const paths = fc.oneof(
  fc.tuple(names, names).map(([namespace, account]) => `/ns/${namespace}/sa/${account}`),
  fc
    .tuple(
      fc.array(step, { maxLength: 2 }),
      names,
      fc.array(step, { maxLength: 2 }),
      names,
      fc.array(step, { maxLength: 2 }),
    )
    .map(([before, namespace, between, account, after]) =>
      [...before, "ns", namespace, ...between, "sa", account, ...after].map((each) => `/${each}`).join(""),
    ),
  fc.array(step, { maxLength: 6 }).map((steps) => steps.map((each) => `/${each}`).join("")),
);
const identities: fc.Arbitrary<SpiffeId> = fc
  .tuple(fc.constantFrom(...DOMAINS), paths)
  .map(([domain, path]) => parseSpiffeId(`spiffe://${domain}${path}`));

const globs = fc.constantFrom("a", "b", "ab", "*", "a*", "*b", "*a*", "a*a", "a*b*a", "ab*ba", "*a*b", "**", "n*", "");
const accounts = fc.oneof(
  names,
  fc.tuple(names, names).map((parts) => parts.join("/")),
);
const domainPatterns = fc.constantFrom("*", ...DOMAINS, "far*", "*.local", "cluster*", "*s", "elsewhere");
const principals = fc.oneof(
  fc.constantFrom("*", "a*", "*a", "far*", "cluster.local/ns/a/*", "*/sa/web", "*/ns/a/sa/a", "cluster.local", "a*b"),
  identities.map((id) => id.slice("spiffe://".length)),
);

/** Compares over identities; both answers have to come often enough. */
function expectAlike<V>(
  values: fc.Arbitrary<V>,
  matcherOf: (all: readonly V[], mesh: MeshSettings) => IdentityMatcher,
  wantedOf: (value: V, mesh: MeshSettings) => RegExp,
): void {
  const seen = { match: 0, not: 0 };
  const some = fc.array(values, { minLength: 1, maxLength: 3 });
  fc.assert(
    fc.property(some, meshes, fc.array(identities, { minLength: 4, maxLength: 4 }), (all, mesh, asked) => {
      const matches = matcherOf(all, mesh);
      for (const id of asked) {
        const wanted = all.some((value) => wantedOf(value, mesh).test(id));
        expect(matches(id), `${JSON.stringify(all)} ${id}`).toBe(wanted);
        seen[wanted ? "match" : "not"] += 1;
      }
    }),
    { numRuns: RUNS },
  );
  for (const [what, count] of Object.entries(seen)) expectSeen(what, count, RUNS / 100);
}

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
const patternSource = (text: string, star: string): string => text.split("*").map(escaped).join(star);
const localSource = (mesh: MeshSettings): string => `(${[...localDomains(mesh)].map(escaped).join("|")})`;
const fullName = (value: string): readonly string[] => (value.includes("/") ? value : `a/${value}`).split("/");

test("namespaces of one's own trust domain", () => {
  expectAlike(
    globs,
    (all, mesh) => namespaceMatcher(all, mesh, false),
    (glob, mesh) => new RegExp(`^spiffe://${localSource(mesh)}/ns/${patternSource(glob, "[^/]*")}/sa/[^/]+$`),
  );
});

test("namespaces of any trust domain, in any shape", () => {
  expectAlike(
    globs,
    (all, mesh) => namespaceMatcher(all, mesh, true),
    (glob) => new RegExp(`^.*/ns/${patternSource(glob, ".*")}/.*$`),
  );
});

test("service accounts of one's own trust domain", () => {
  expectAlike(
    accounts,
    (all, mesh) => serviceAccountMatcher(all, "a", mesh, false),
    (value, mesh) => new RegExp(`^spiffe://${localSource(mesh)}/ns/${fullName(value)[0]!}/sa/${fullName(value)[1]!}$`),
  );
});

test("service accounts of any trust domain, in any shape", () => {
  expectAlike(
    accounts,
    (all, mesh) => serviceAccountMatcher(all, "a", mesh, true),
    (value) => new RegExp(`^spiffe://.+/ns/${fullName(value)[0]!}/(.+/|)sa/${fullName(value)[1]!}(/.+)?$`),
  );
});

test("trust domains, of which the mesh's own are one under several names", () => {
  expectAlike(
    domainPatterns,
    (all, mesh) => trustDomainMatcher(all, mesh),
    (pattern, mesh) => {
      if (pattern === "*") return /^/;
      const isLocal = [...localDomains(mesh)].some((domain) => domain === pattern);
      return new RegExp(`^spiffe://${isLocal ? localSource(mesh) : patternSource(pattern, "[^/]*")}/`);
    },
  );
});

test("principals, in all names of the mesh's own trust domain", () => {
  expectAlike(
    principals,
    (all, mesh) => principalMatcher(all, mesh),
    // A star counts at the very start, or else at the very end.
    (pattern, mesh) =>
      new RegExp(
        `^spiffe://(${withAliases(pattern, mesh)
          .map((each) => {
            if (each === "*") return ".+";
            if (each.startsWith("*")) return `.*${escaped(each.slice(1))}`;
            return each.endsWith("*") ? `${escaped(each.slice(0, -1))}.*` : escaped(each);
          })
          .join("|")})$`,
      ),
  );
});
