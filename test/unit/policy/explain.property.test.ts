import * as fc from "fast-check";
import { expect, test, vi } from "vitest";
import { parsePolicyFiles } from "../../../src/config/policy-files.ts";
import { decideQuestion, explainDecision } from "../../../src/policy/explain.ts";
import { interpret } from "../../../src/policy/interpret.ts";
import { peers, policies, requests, settings, workloads } from "../../support/policy-arbitraries.ts";

// Two cores may be shared with other test files.
vi.setConfig({ testTimeout: 60_000 });

const questions = fc.record({ workload: workloads, settings, peer: peers, request: fc.option(requests, { freq: 4 }) });

test("a grant is a policy that turns the denial into an allow, and nothing but the grant does", () => {
  let granted = 0;
  fc.assert(
    fc.property(policies, questions, (documents, question) => {
      const { decision, grant } = explainDecision(documents, question);
      const isDeniedByRule = decision.reason === "deny-rule-matched";
      const mayBeGranted = !decision.allow && !isDeniedByRule && question.peer.principal !== null;
      expect(grant !== null).toBe(mayBeGranted);
      if (grant === null) return;
      granted += 1;
      const { documents: grants, faults } = parsePolicyFiles([{ path: "grant.yaml", text: grant }]);
      expect(faults).toEqual([]);
      const after = decideQuestion([...documents, ...grants], question);
      expect(after).toMatchObject({ allow: true, policy: grants[0]!.id, rule: 0 });
    }),
    { numRuns: 1_500 },
  );
  expect(granted).toBeGreaterThan(250);
});

test("a grant allows no other identity, port, method or path", () => {
  const others = fc.tuple(peers, requests);
  fc.assert(
    fc.property(policies, questions, others, (documents, question, [peer, request]) => {
      fc.pre(question.request !== null);
      const { grant } = explainDecision(documents, question);
      if (grant === null) return;
      const { documents: grants } = parsePolicyFiles([{ path: "grant.yaml", text: grant }]);
      const other = { ...question, peer, request };
      const isSame =
        peer.principal === question.peer.principal &&
        peer.destinationPort === question.peer.destinationPort &&
        request.method === question.request?.method &&
        request.path === question.request.path;
      expect(decideQuestion(grants, other).allow).toBe(isSame);
    }),
    { numRuns: 1_000 },
  );
});

test("the nearest rule is one that does not match, and its failing clauses are all that keeps it from it", () => {
  fc.assert(
    fc.property(policies, questions, (documents, question) => {
      const { decision, nearest } = explainDecision(documents, question);
      expect(decision).toEqual(interpret(documents, question));
      if (nearest === null) return;
      const policy = documents.find((each) => each.id === nearest.policy)!;
      expect(policy.action).toBe("ALLOW");
      // The same rule without the clauses that are said to fail.
      const failing = new Set(nearest.failing.map((finding) => finding.field));
      const keep = (clause: { readonly field: string }) => !failing.has(clause.field);
      const rule = policy.rules[nearest.rule]!;
      // Without its trustDomains a source's namespaces would mean something else, so that one cannot be taken away.
      fc.pre(!nearest.failing.some((finding) => /trustDomain|when/i.test(finding.field)));
      const eased = {
        ...policy,
        rules: [
          {
            ...rule,
            from: rule.from?.map((source) => source.filter(keep)) ?? null,
            to: rule.to?.map((operation) => operation.filter(keep)) ?? null,
            when: rule.when.filter(keep),
          },
        ],
      };
      expect(interpret([policy], question).allow).toBe(false);
      expect(interpret([eased], question).allow).toBe(true);
    }),
    { numRuns: 1_500 },
  );
});
