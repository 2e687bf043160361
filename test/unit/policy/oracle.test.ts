import * as fc from "fast-check";
import { expect, test, vi } from "vitest";
import { compilePolicy, compileSliced } from "../../../src/policy/compile.ts";
import {
  bindPeer,
  decideAndObserve,
  decideBound,
  decideRequest,
  decideTcp,
  observeBound,
} from "../../../src/policy/decide.ts";
import { interpret, interpretUnenforced } from "../../../src/policy/interpret.ts";
import {
  crowdedPolicies,
  denselyCrowdedPolicies,
  peers,
  policies,
  requests,
  settings,
  workloads,
} from "../../support/policy-arbitraries.ts";
import { expectSeen, propertyRuns } from "../../support/property-runs.ts";

// The compiled form decides in the data path; the interpreter is slow and obviously right. They must not differ.
const RUNS = propertyRuns(4_000);
const ASKED_PER_RUN = 4;

// Two cores may be shared with other test files.
vi.setConfig({ testTimeout: 60_000 });

const worlds = fc.record({ documents: policies, workload: workloads, settings });

test("the compiled policy decides every HTTP request as the interpreter does", () => {
  const questions = fc.array(fc.tuple(peers, requests), { minLength: ASKED_PER_RUN, maxLength: ASKED_PER_RUN });
  const seen = new Map<string, number>();
  fc.assert(
    fc.property(worlds, questions, ({ documents, workload, settings: mesh }, asked) => {
      const compiled = compilePolicy(documents, workload, mesh);
      for (const [peer, request] of asked) {
        const wanted = interpret(documents, { workload, settings: mesh, peer, request });
        expect(decideRequest(compiled, peer, request)).toEqual(wanted);
        seen.set(wanted.reason, (seen.get(wanted.reason) ?? 0) + 1);
      }
    }),
    { numRuns: RUNS },
  );
  // A world in which some outcome never happens would prove little.
  for (const reason of ["allow-rule-matched", "deny-rule-matched", "no-allow-rule-matched", "default-action"]) {
    expectSeen(reason, seen.get(reason) ?? 0, RUNS / 50);
  }
});

test("the compiled policy decides every TCP connection as the interpreter does", () => {
  fc.assert(
    fc.property(worlds, peers, ({ documents, workload, settings: mesh }, peer) => {
      const compiled = compilePolicy(documents, workload, mesh);
      const wanted = interpret(documents, { workload, settings: mesh, peer, request: null });
      expect(decideTcp(compiled, peer)).toEqual(wanted);
    }),
    { numRuns: RUNS },
  );
});

test("what AUDIT policies mark and dry runs would change is what the interpreter says, and changes no decision", () => {
  const asked = fc.option(requests, { freq: 4 });
  const seen = { marked: 0, wouldAllow: 0, wouldDeny: 0 };
  fc.assert(
    fc.property(worlds, peers, asked, ({ documents, workload, settings: mesh }, peer, request) => {
      const question = { workload, settings: mesh, peer, request };
      const { decision, observation } = decideAndObserve(compilePolicy(documents, workload, mesh), peer, request);
      expect(observation).toEqual(interpretUnenforced(documents, question));
      const enforced = documents.filter((policy) => policy.action !== "AUDIT" && !policy.isDryRun);
      expect(decision).toEqual(interpret(enforced, question));
      if (observation?.audit) seen.marked += 1;
      if (observation?.dryRun?.allow === true) seen.wouldAllow += 1;
      if (observation?.dryRun?.allow === false) seen.wouldDeny += 1;
    }),
    { numRuns: RUNS },
  );
  for (const [what, count] of Object.entries(seen)) expectSeen(what, count, RUNS / 100);
});

test.each([
  ["ask for paths", crowdedPolicies, 250],
  ["ask for anything", denselyCrowdedPolicies, 150],
])("where many rules %s, what is found by the trees is what the interpreter says", (_name, documentsOf, numRuns) => {
  const crowded = fc.record({ documents: documentsOf, workload: workloads, settings });
  const asked = fc.array(fc.tuple(peers, requests), { minLength: 4, maxLength: 4 });
  fc.assert(
    fc.property(crowded, asked, (world, questions) => {
      const compiled = compilePolicy(world.documents, world.workload, world.settings);
      for (const [peer, request] of questions) {
        const bound = bindPeer(compiled, peer);
        const wanted = interpret(world.documents, { ...world, peer, request });
        expect(decideBound(bound, request)).toEqual(wanted);
        const observed = interpretUnenforced(world.documents, { ...world, peer, request });
        expect(observeBound(bound, request, wanted)).toEqual(observed);
        expect(decideTcp(compiled, peer)).toEqual(interpret(world.documents, { ...world, peer, request: null }));
      }
    }),
    { numRuns: propertyRuns(numRuns) },
  );
});

test("peers that share a binding are decided as each would be alone", () => {
  fc.assert(
    fc.property(worlds, fc.array(fc.tuple(peers, requests), { minLength: 2, maxLength: 20 }), (world, asked) => {
      const shared = compilePolicy(world.documents, world.workload, world.settings);
      for (const [peer, request] of asked) {
        const alone = compilePolicy(world.documents, world.workload, world.settings);
        expect(decideRequest(shared, peer, request)).toEqual(decideRequest(alone, peer, request));
      }
    }),
    { numRuns: propertyRuns(300) },
  );
});

test("one binding answers any number of requests of its peer", () => {
  fc.assert(
    fc.property(worlds, peers, fc.array(requests, { maxLength: 8 }), (world, peer, asked) => {
      const compiled = compilePolicy(world.documents, world.workload, world.settings);
      const bound = bindPeer(compiled, peer);
      for (const request of asked) expect(decideBound(bound, request)).toBe(decideRequest(compiled, peer, request));
    }),
    { numRuns: propertyRuns(1_000) },
  );
});

test("the order of the documents changes nothing that is decided or reported", () => {
  fc.assert(
    fc.property(worlds, peers, requests, fc.func(fc.integer()), (world, peer, request, rank) => {
      const shuffled = world.documents.toSorted((a, b) => rank(a.id) - rank(b.id));
      const one = compilePolicy(world.documents, world.workload, world.settings);
      const other = compilePolicy(shuffled, world.workload, world.settings);
      expect(decideRequest(other, peer, request)).toEqual(decideRequest(one, peer, request));
    }),
    { numRuns: propertyRuns(800) },
  );
});

test("compiling in slices gives what compiling at once gives", async () => {
  let nowMs = 0;
  // Every look at the clock is 3 ms later: slices end all the time.
  const clock = { wallMs: () => nowMs, monotonicMs: () => (nowMs += 3), setTimer: () => ({ cancel: () => {} }) };
  await fc.assert(
    fc.asyncProperty(worlds, peers, requests, async (world, peer, request) => {
      const sliced = await compileSliced(world.documents, world.workload, world.settings, clock);
      const whole = compilePolicy(world.documents, world.workload, world.settings);
      expect(decideRequest(sliced, peer, request)).toEqual(decideRequest(whole, peer, request));
    }),
    { numRuns: propertyRuns(300) },
  );
});
