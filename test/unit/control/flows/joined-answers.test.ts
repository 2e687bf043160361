import { expect, test } from "vitest";
import { joinAnswers } from "../../../../src/control/flows/edge-sums.ts";
import type { EdgesAnswer, EdgeSum } from "../../../../src/control/flows/query.ts";

const WEB = { namespace: "shop", workload: "web", service: null, principal: "spiffe://cluster.local/ns/shop/sa/web" };
const PAY = { namespace: "shop", workload: "pay", service: null, principal: "spiffe://cluster.local/ns/shop/sa/pay" };

function sum(changes: Partial<EdgeSum>): EdgeSum {
  return {
    source: WEB,
    destination: { ...PAY, port: 8080 },
    protocol: "http",
    reporter: "destination",
    verdict: "denied",
    statusClass: 4,
    tls: { version: "TLSv1.3", group: null },
    flows: 1,
    bytesReceived: 10,
    bytesSent: 20,
    latencyCounts: [1, 0],
    ...changes,
  };
}

function answer(edges: readonly EdgeSum[], lostFlows = 0): EdgesAnswer {
  return { fromMs: 0, toMs: 60_000, edges, lostFlows };
}

test("what two replicas were told of the same edge is added up, losses too", () => {
  const joined = joinAnswers([answer([sum({ flows: 2 })], 5), answer([sum({ flows: 3, latencyCounts: [1, 2] })], 6)]);
  expect(joined.edges).toEqual([sum({ flows: 5, bytesReceived: 20, bytesSent: 40, latencyCounts: [2, 2] })]);
  expect(joined.lostFlows).toBe(11);
});

test("an exchange of which the two sides told different replicas counts once, by the destination's word", () => {
  const source = sum({ reporter: "source", verdict: "error", tls: { version: "TLSv1.3", group: "X25519MLKEM768" } });
  const { edges } = joinAnswers([answer([source]), answer([sum({})])]);
  expect(edges).toEqual([sum({ tls: { version: "TLSv1.3", group: "X25519MLKEM768" } })]);
});

test("a denial and what was let through stay apart", () => {
  const { edges } = joinAnswers([answer([sum({})]), answer([sum({ verdict: "allowed", statusClass: 2 })])]);
  expect(edges.map(({ verdict }) => verdict).toSorted()).toEqual(["allowed", "denied"]);
});
