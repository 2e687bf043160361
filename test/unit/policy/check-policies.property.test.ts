import * as fc from "fast-check";
import { expect, test, vi } from "vitest";
import { parseIp } from "../../../src/core/cidr.ts";
import { checkPolicies } from "../../../src/policy/analysis/check/check-policies.ts";
import type { FindingCode } from "../../../src/policy/analysis/check/finding-table.ts";
import { compilePolicy } from "../../../src/policy/compile.ts";
import { decideRequest, decideTcp } from "../../../src/policy/decide.ts";
import type { AuthorizationPolicy } from "../../../src/policy/document.ts";
import type { PeerFacts, RequestFacts } from "../../../src/policy/facts.ts";
import { interpret, interpretUnenforced } from "../../../src/policy/interpret.ts";
import { normalizePath } from "../../../src/wire/path.ts";
import { peers, policies, requests, settings, workloads } from "../../support/policy-arbitraries.ts";

// What is said to change nothing must change nothing: the rules are taken out, and the slow interpreter decides as the engine
// did with them.
const RUNS = 100;
const ASKED_PER_RUN = 16;
const CHANGE_NOTHING: readonly FindingCode[] = ["shadowed-rule", "unreachable-rule"];

vi.setConfig({ testTimeout: 120_000 });

/** Requests that a sidecar would let come as far as a policy. */
function canOccur(peer: PeerFacts, { method, path }: RequestFacts): boolean {
  const normalized = normalizePath(path, "BASE");
  const areAddresses = [peer.sourceIp, peer.remoteIp, peer.destinationIp].every((ip) => parseIp(ip) !== null);
  return !/[a-z]/.test(method) && normalized.ok && normalized.pathForMatch === path && areAddresses;
}

test("rules that are called shadowed or unreachable can all be taken out, and no decision changes", () => {
  const worlds = fc.record({ documents: policies, workload: workloads, settings });
  const questions = fc.array(fc.tuple(peers, fc.option(requests, { freq: 4 })), {
    minLength: ASKED_PER_RUN,
    maxLength: ASKED_PER_RUN,
  });
  const found = new Map<FindingCode, number>();
  let decided = 0;
  fc.assert(
    fc.property(worlds, questions, ({ documents, workload, settings: mesh }, asked) => {
      const { findings } = checkPolicies({
        about: documents,
        documents,
        settings: mesh,
        workloads: null,
        nowMs: null,
        stepsMax: 20_000_000,
      });
      const idle = findings.filter(({ code }) => CHANGE_NOTHING.includes(code));
      for (const { code } of idle) found.set(code, (found.get(code) ?? 0) + 1);
      fc.pre(idle.length > 0);
      const without = documents.map((policy) =>
        withoutRules(policy, new Set(idle.filter(({ policy: id }) => id === policy.id).map(({ field }) => field))),
      );
      const compiled = compilePolicy(documents, workload, mesh);
      for (const [peer, request] of asked) {
        if (request !== null && !canOccur(peer, request)) continue;
        const question = { workload, settings: mesh, peer, request };
        const before = request === null ? decideTcp(compiled, peer) : decideRequest(compiled, peer, request);
        expect(interpret(without, question).allow).toBe(before.allow);
        const [observed, stays] = [interpretUnenforced(documents, question), interpretUnenforced(without, question)];
        expect(stays?.audit === undefined || stays.audit === null).toBe(
          observed?.audit === undefined || observed.audit === null,
        );
        expect(stays?.dryRun?.allow).toBe(observed?.dryRun?.allow);
        decided += 1;
      }
    }),
    { numRuns: RUNS },
  );
  expect(decided).toBeGreaterThan(RUNS);
  for (const code of CHANGE_NOTHING) expect(found.get(code) ?? 0, code).toBeGreaterThan(RUNS / 20);
});

function withoutRules(policy: AuthorizationPolicy, fields: ReadonlySet<string>): AuthorizationPolicy {
  return { ...policy, rules: policy.rules.filter(({ index }) => !fields.has(`spec.rules[${index}]`)) };
}

test("no request matches a rule that is said to match nothing", () => {
  const worlds = fc.record({ documents: policies, workload: workloads, settings });
  let [named, asked] = [0, 0];
  fc.assert(
    fc.property(worlds, fc.array(fc.tuple(peers, requests), { minLength: 8, maxLength: 8 }), (world, tuples) => {
      const { documents, settings: mesh } = world;
      const { findings } = checkPolicies({
        about: documents,
        documents,
        settings: mesh,
        workloads: null,
        nowMs: null,
        stepsMax: 20_000_000,
      });
      const empty = findings.filter(
        ({ code, message }) => code !== "value-never-matches" && message.startsWith("no request can match"),
      );
      named += empty.length;
      for (const { policy: id, field } of empty) {
        // The rule alone, and of its alternatives the named one alone.
        const [, index, group, at] = /^spec\.rules\[(\d+)\](?:\.(from|to)\[(\d+)\])?/.exec(field)!;
        const policy = documents.find((each) => each.id === id)!;
        const rule = policy.rules[Number(index)]!;
        const isAlternative = group !== undefined && !field.includes(".source") && !field.includes(".operation");
        const only = isAlternative ? { ...rule, [group]: [rule[group as "from" | "to"]![Number(at)]!] } : rule;
        const alone: AuthorizationPolicy = {
          ...policy,
          isDryRun: false,
          matchLabels: new Map(),
          action: policy.action,
          rules: [only],
        };
        for (const [peer, request] of tuples) {
          if (!canOccur(peer, request)) continue;
          const question = {
            workload: { ...world.workload, namespace: policy.namespace },
            settings: mesh,
            peer,
            request,
          };
          if (policy.action === "AUDIT") expect(interpretUnenforced([alone], question)?.audit ?? null).toBeNull();
          else expect(interpret([alone], question).rule).toBeNull();
          asked += 1;
        }
      }
    }),
    { numRuns: RUNS },
  );
  expect(named).toBeGreaterThan(RUNS / 40);
  expect(asked).toBeGreaterThan(RUNS / 10);
});
