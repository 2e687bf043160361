import * as fc from "fast-check";
import { expect, test, vi } from "vitest";
import { trustDomainOf, workloadNameOf } from "../../../src/core/spiffe-id.ts";
import { parseIp } from "../../../src/core/cidr.ts";
import type { AuthorizationPolicy } from "../../../src/policy/document.ts";
import { decideQuestion } from "../../../src/policy/explain.ts";
import type { Question } from "../../../src/policy/facts.ts";
import { istioAllows } from "../../support/istio-semantics.ts";
import { peers, policies, requests, settings, workloads } from "../../support/policy-arbitraries.ts";
import { expectSeen, propertyRuns } from "../../support/property-runs.ts";

// Two cores may be shared with other test files.
vi.setConfig({ testTimeout: 60_000 });

const questions = fc.record({ workload: workloads, settings, peer: peers, request: fc.option(requests, { freq: 5 }) });
const RUNS = propertyRuns(4_000);

test("where we differ from Istio we deny: nothing is let through that Istio would not let through", () => {
  let stricter = 0;
  fc.assert(
    fc.property(policies, questions, (documents, question) => {
      const ours = decideQuestion(documents, question).allow;
      const istios = istioAllows(documents, question);
      if (istios && !ours) stricter += 1;
      expect(ours && !istios).toBe(false);
    }),
    { numRuns: RUNS },
  );
  // The differences are there, or this would show nothing.
  expectSeen("stricter", stricter, 0);
});

test("for callers of the mesh's own trust domain, with addresses, plain paths and patterns, we decide as Istio does", () => {
  let allowed = 0;
  let denied = 0;
  fc.assert(
    fc.property(policies, questions, (documents, question) => {
      fc.pre(isOrdinary(question) && documents.every(hasPlainNamespaces));
      const ours = decideQuestion(documents, question).allow;
      expect(ours).toBe(istioAllows(documents, question));
      if (ours) allowed += 1;
      else denied += 1;
    }),
    { numRuns: RUNS / 4, maxSkipsPerRun: 1_000 },
  );
  expectSeen("either", Math.min(allowed, denied), RUNS / 100);
});

function isOrdinary({ peer, request, settings: mesh }: Question): boolean {
  const { principal, sourceIp, remoteIp, destinationIp } = peer;
  const local: string[] = [mesh.trustDomain, ...mesh.trustDomainAliases];
  const isLocal =
    principal === null || (local.includes(trustDomainOf(principal)) && workloadNameOf(principal) !== null);
  const isPlainPath = request === null || !request.path.includes("|");
  return isLocal && isPlainPath && [sourceIp, remoteIp, destinationIp].every((ip) => parseIp(ip) !== null);
}

/** Istio's expression for a namespace that begins with a star reaches on into the rest of the identity. */
function hasPlainNamespaces(policy: AuthorizationPolicy): boolean {
  const clauses = policy.rules.flatMap((rule) => [...(rule.from ?? []).flat(), ...rule.when]);
  const names = clauses.filter((clause) => clause.attribute === "source.namespace").flatMap((clause) => clause.values);
  return names.every((name) => name === "*" || !name.slice(0, -1).includes("*"));
}
