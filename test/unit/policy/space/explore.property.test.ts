import * as fc from "fast-check";
import { expect, test, vi } from "vitest";
import { parseIp } from "../../../../src/core/cidr.ts";
import { accessTo, type Verdict } from "../../../../src/policy/analysis/space/access.ts";
import type { Known } from "../../../../src/policy/analysis/space/dimension.ts";
import { explore } from "../../../../src/policy/analysis/space/explore.ts";
import { type Protocol, questionOf } from "../../../../src/policy/analysis/space/facts.ts";
import type { Decision } from "../../../../src/policy/decision.ts";
import { decideQuestion } from "../../../../src/policy/explain.ts";
import type { PeerFacts, Question, RequestFacts } from "../../../../src/policy/facts.ts";
import { normalizePath } from "../../../../src/wire/path.ts";
import { peers, policies, requests, settings, workloads } from "../../../support/policy-arbitraries.ts";

// The exploration says what all requests come to; the engine says it of one. Neither may know an outcome that the other does not.
const RUNS = 150;
const ASKED_PER_RUN = 12;

vi.setConfig({ testTimeout: 120_000 });

const ANYBODY: Known = { principals: [], isOpen: true, ports: null, hosts: [] };
const worlds = fc.record({ documents: policies, workload: workloads, settings });
const protocols = fc.constantFrom<Protocol>("http", "tcp");

/** Requests that a sidecar would let come as far as a policy. */
function canOccur(peer: PeerFacts, request: RequestFacts): boolean {
  const { method, path } = request;
  const isMethod = !/[a-z]/.test(method);
  const normalized = normalizePath(path, "BASE");
  const areAddresses = [peer.sourceIp, peer.destinationIp].every((ip) => parseIp(ip) !== null);
  return isMethod && normalized.ok && normalized.pathForMatch === path && areAddresses;
}

function nameOf(verdict: Verdict | Decision): string {
  const rule = "formula" in verdict ? verdict.formula : null;
  if ("formula" in verdict) return `${verdict.allow} ${rule?.policy.id ?? ""} ${rule?.rule.index ?? ""}`;
  const isRule = verdict.rule !== null;
  return `${verdict.allow} ${isRule ? verdict.policy : ""} ${verdict.rule ?? ""}`;
}

test("every outcome that is explored is what the engine decides on its example", () => {
  let examples = 0;
  let unknown = 0;
  fc.assert(
    fc.property(worlds, protocols, (world, protocol) => {
      const about = { ...world, protocol };
      const access = accessTo(world.documents, world.workload, about);
      const regions = explore(access.formulas, judgeOf(access), { ...world, known: ANYBODY }, nameOf);
      if (regions === null) unknown += 1;
      for (const { outcome, example } of regions ?? []) {
        const decision = decideQuestion(world.documents, questionOf(example, about));
        expect(nameOf(decision), JSON.stringify(example)).toBe(nameOf(outcome));
        examples += 1;
      }
    }),
    { numRuns: RUNS },
  );
  expect(examples).toBeGreaterThan(RUNS);
  // Made of everything at once, a few of these worlds have more to tell apart than policies that people write.
  expect(unknown).toBeLessThan(RUNS / 20);
});

test("no request is decided in a way that was not explored", () => {
  let asked = 0;
  const questions = fc.array(fc.tuple(peers, requests), { minLength: ASKED_PER_RUN, maxLength: ASKED_PER_RUN });
  fc.assert(
    fc.property(worlds, protocols, questions, (world, protocol, tuples) => {
      const access = accessTo(world.documents, world.workload, { ...world, protocol });
      const regions = explore(access.formulas, judgeOf(access), { ...world, known: ANYBODY }, nameOf);
      fc.pre(regions !== null);
      const names = new Set(regions.map(({ outcome }) => nameOf(outcome)));
      for (const [peer, request] of tuples) {
        if (!canOccur(peer, request)) continue;
        const { documents, workload, settings: mesh } = world;
        const oneAddress = { ...peer, remoteIp: peer.sourceIp };
        const question: Question = {
          workload,
          settings: mesh,
          peer: oneAddress,
          request: protocol === "http" ? request : null,
        };
        expect(names).toContain(nameOf(decideQuestion(documents, question)));
        asked += 1;
      }
    }),
    { numRuns: RUNS },
  );
  expect(asked).toBeGreaterThan(RUNS);
});

function judgeOf(access: ReturnType<typeof accessTo>) {
  return (truthOf: Parameters<typeof access.decide>[0]) => {
    const verdict = access.decide(truthOf);
    return verdict === null ? null : { outcome: verdict };
  };
}
