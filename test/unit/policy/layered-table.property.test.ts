import * as fc from "fast-check";
import { expect, test, vi } from "vitest";
import { runSteps } from "../../../src/core/slices.ts";
import { compilePolicy, compileSteps, type CompiledPolicy } from "../../../src/policy/compile.ts";
import { decideAndObserve } from "../../../src/policy/decide.ts";
import type { AuthorizationPolicy } from "../../../src/policy/document.ts";
import { peers, policies, policyOf, requests, settings, workloads } from "../../support/policy-arbitraries.ts";
import { expectSeen, propertyRuns } from "../../support/property-runs.ts";

// Two cores may be shared with other test files.
vi.setConfig({ testTimeout: 60_000 });

// So many policies that a change is layered upon what was compiled before it.
const GROUND = 80;

const NAMESPACES = ["a", "b", "ab", "root"];

/** Half of them ask for a caller that nobody is; of the others several fit at a time, so that their order tells. */
const ground = Array.from({ length: GROUND }, (_, i) => named(`g${i}`, i % 2 === 0 ? "ALLOW" : "DENY", i));
const all = [...ground, ...Array.from({ length: GROUND }, (_, i) => named(`h${i}`, i % 2 === 0 ? "ALLOW" : "DENY", i))];

function named(name: string, action: string, i: number): AuthorizationPolicy {
  const nobody = { principals: [`cluster.local/ns/x/sa/${i}`] };
  const source = i % 4 < 2 ? nobody : { namespaces: [NAMESPACES[(i >> 2) % 4]], notPrincipals: [`x/${i}`] };
  return policyOf({
    apiVersion: "security.istio.io/v1",
    kind: "AuthorizationPolicy",
    metadata: { name, namespace: "root" },
    spec: {
      action,
      rules: [{ from: [{ source }], to: [{ operation: { ports: [String([80, 8080, 9000][i % 3])] } }] }],
    },
  });
}

/** Some of the ground's policies gone, and others in between. */
const revisions = fc.array(fc.record({ others: policies, gone: fc.array(fc.nat(all.length - 1), { maxLength: 6 }) }), {
  minLength: 2,
  maxLength: 4,
});

test("what is compiled upon what was there before decides as what is compiled anew", () => {
  let layered = 0;
  const asked = fc.array(fc.tuple(peers, fc.option(requests, { freq: 4 })), { minLength: 6, maxLength: 6 });
  fc.assert(
    fc.property(revisions, workloads, settings, asked, (changes, where, mesh, questions) => {
      const workload = { ...where, namespace: mesh.rootNamespace };
      let before: CompiledPolicy | null = null;
      for (const { others, gone } of changes) {
        const documents = [...all.filter((_, i) => !gone.includes(i)), ...renamed(others)].map((each) =>
          inRoot(each, mesh.rootNamespace),
        );
        const compiled: CompiledPolicy = runSteps(compileSteps(documents, workload, mesh, before));
        const anew = compilePolicy(documents, workload, mesh);
        if (compiled.allow.added !== null || compiled.deny.gone !== null) layered += 1;
        expect(compiled.allow.rules).toEqual(anew.allow.rules);
        expect(compiled.deny.rules).toEqual(anew.deny.rules);
        for (const [peer, request] of questions)
          expect(decideAndObserve(compiled, peer, request)).toEqual(decideAndObserve(anew, peer, request));
        before = compiled;
      }
    }),
    { numRuns: propertyRuns(100) },
  );
  expectSeen("layered", layered, propertyRuns(100) / 2);
});

/** The very same object for the same policy and namespace, as a sidecar that holds it has it. */
const kept = new Map<string, WeakMap<AuthorizationPolicy, AuthorizationPolicy>>();

function inRoot(policy: AuthorizationPolicy, namespace: string): AuthorizationPolicy {
  const known = kept.get(namespace) ?? new WeakMap<AuthorizationPolicy, AuthorizationPolicy>();
  kept.set(namespace, known);
  const made = known.get(policy) ?? { ...policy, namespace, id: `${namespace}/${policy.name}` };
  known.set(policy, made);
  return made;
}

/** Names that stand before, between and after those of the ground. */
function renamed(others: readonly AuthorizationPolicy[]): readonly AuthorizationPolicy[] {
  return others.map((policy, i) => ({ ...policy, name: `${["a", "g40", "h1", "z"][i % 4]!}-${i}` }));
}

test("of a policy that has changed only that one is compiled, and the rest stays what it was", () => {
  const workload = { namespace: "root", labels: {} };
  const mesh = fc.sample(settings, 1)[0]!;
  const at = { ...mesh, rootNamespace: "root" };
  const first = runSteps(compileSteps(all, workload, at));
  const changed = all.map((policy, i) => (i === 4 ? named("g4", "ALLOW", 99) : policy));
  const second = runSteps(compileSteps(changed, workload, at, first));
  expect(second.allow.base).toBe(first.allow.base);
  expect([...second.allow.gone!]).toEqual(["root/g4"]);
  expect(second.allow.added!.rules).toHaveLength(1);
  expect(second.deny).toMatchObject({ gone: null, added: null });
  // Under other settings nothing of it may be used.
  const other = runSteps(compileSteps(changed, workload, { ...at, rootNamespace: "elsewhere" }, first));
  expect(other.allow.base).not.toBe(first.allow.base);
  // Where too much has changed, all is compiled anew.
  const few = runSteps(compileSteps(all.slice(0, 90), workload, at, first));
  expect(few.allow.base).not.toBe(first.allow.base);
});
