import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type {
  MapBlast,
  MapCoverage,
  MapExplanation,
  MapFlows,
  MapGraph,
  MapMesh,
} from "../../../../src/api/map-messages.ts";
import { tokenReaders } from "../../../../src/control/map/readers.ts";
import type { FlowPeer } from "../../../../src/observe/flow.ts";
import { sampleFlow } from "../../../support/sample-flow.ts";
import { type MapFixture, openMapFixture, REVISION } from "./map-fixture.ts";

const ALL = "a".repeat(32);
const SHOP = "s".repeat(32);
const BANK = "b".repeat(32);
const NOW = Date.now();
const RANGE = `from=${NOW - 600_000}&to=${NOW + 60_000}`;

const POLICIES = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: ledger, namespace: bank}
spec:
  selector: {matchLabels: {app: ledger}}
  action: ALLOW
  rules:
    - from: [{source: {principals: ["cluster.local/ns/shop/sa/web"]}}]
      to: [{operation: {methods: ["GET"], paths: ["/balance"]}}]
`;

function peer(namespace: string, workload: string): FlowPeer {
  const principal = `spiffe://cluster.local/ns/${namespace}/sa/${workload}`;
  return { ip: "127.0.0.1", port: 8080, principal, namespace, workload, service: null, labels: { app: workload } };
}

const HOSTILE = "/<img src=x onerror=alert(1)>\u001b[2J\u202e'\"&";
const shared = { timeMs: NOW - 60_000, revision: REVISION, destination: peer("bank", "ledger") };
const DENIED = sampleFlow({ ...shared, id: "00000000000000d1", source: peer("shop", "web"), path: HOSTILE });
const FLOWS = [
  DENIED,
  sampleFlow({
    ...shared,
    id: "00000000000000a1",
    source: peer("shop", "web"),
    path: "/balance",
    verdict: "allowed",
    reason: "allow-rule-matched",
    policy: "bank/ledger",
    rule: 0,
    status: 200,
  }),
  sampleFlow({ ...shared, id: "00000000000000b1", source: peer("bank", "teller") }),
];

let map: MapFixture;
beforeEach(async () => {
  const authenticate = tokenReaders([
    { token: ALL, namespaces: "all" },
    { token: SHOP, namespaces: new Set(["shop"]) },
    { token: BANK, namespaces: new Set(["bank"]) },
  ]);
  map = await openMapFixture({
    authenticate,
    policyText: POLICIES,
    workloads: ["shop/web", "bank/ledger", "bank/teller", "other/secret"],
  });
  map.store(...FLOWS);
});
afterEach(() => map.close());

describe("who shows no token that is known", () => {
  test.each([
    ["nothing", {}],
    ["an empty one", { authorization: "Bearer " }],
    ["another", { authorization: `Bearer ${"x".repeat(32)}` }],
    ["the beginning of one", { authorization: `Bearer ${ALL.slice(0, 31)}` }],
    ["one and more", { authorization: `Bearer ${ALL}a` }],
    ["two", { authorization: `Bearer ${ALL} ${SHOP}` }],
    ["one in another scheme", { authorization: `Basic ${ALL}` }],
    ["one as a cookie", { cookie: `token=${ALL}` }],
  ])("with %s is told nothing by any question", async (_name, headers) => {
    for (const path of [
      "mesh",
      `graph?${RANGE}`,
      `flows?${RANGE}`,
      "explanation?id=00000000000000d1",
      "live",
      "none",
    ]) {
      const { status, body, headers: got } = await map.get(`/api/${path}`, headers);
      expect([status, got["www-authenticate"]]).toEqual([401, "Bearer"]);
      expect(body).not.toMatch(/ledger|cluster\.local/);
    }
  });

  test("in the address is told nothing either, but gets the page", async () => {
    expect((await map.get(`/api/mesh?token=${ALL}&authorization=Bearer%20${ALL}`)).status).toBe(401);
    expect((await map.get("/")).status).toBe(200);
  });
});

test.each(["", "short", "a".repeat(31)])("a token that could be guessed is none: %j", (token) => {
  expect(() => tokenReaders([{ token, namespaces: "all" }])).toThrow(/shorter than 32/);
});

test("no readers at all are a mistake", () => expect(() => tokenReaders([])).toThrow(/no reader/));

describe("a reader of one namespace", () => {
  test("sees its own workloads and whom they talk to, and no others", async () => {
    const { nodes, edges } = await map.json<MapGraph>(`/api/graph?${RANGE}`, SHOP);
    expect(nodes.map(({ id }) => id)).toEqual(["bank/ledger", "shop/web"]);
    expect(edges.map(({ id }) => id)).toEqual(["shop/web>bank/ledger:8080/http"]);
    expect(await map.json<MapMesh>("/api/mesh", SHOP)).toMatchObject({ workloads: 1, reads: ["shop"] });
  });

  test("gets flows of its own alone, without the rules of others", async () => {
    const { flows } = await map.json<MapFlows>(`/api/flows?${RANGE}`, SHOP);
    expect(flows.map(({ id }) => id).toSorted()).toEqual(["00000000000000a1", "00000000000000d1"]);
    expect(flows.every(({ policy, rule }) => policy === null && rule === null)).toBe(true);
    expect((await map.get("/api/explanation?id=00000000000000b1", { authorization: `Bearer ${SHOP}` })).status).toBe(
      400,
    );
  });

  test("learns that it was denied, but not by which policy nor what would allow it", async () => {
    const story = await map.json<MapExplanation>("/api/explanation?id=00000000000000d1", SHOP);
    expect(story).toMatchObject({ nearest: null, decided: null, grant: null, flow: { policy: null, rule: null } });
    expect(JSON.stringify(story)).not.toMatch(/balance|all\.yaml/);
    expect(story.notes.join()).toContain("for readers of bank");
  });

  test("is told how much a breach reaches elsewhere, not what", async () => {
    const blast = await map.json<MapBlast>("/api/blast-radius?workload=shop/web", SHOP);
    expect(blast).toMatchObject({ direct: [], reached: [], hidden: 1 });
    for (const other of ["bank/ledger", "other/secret"])
      expect((await map.get(`/api/blast-radius?workload=${other}`, { authorization: `Bearer ${SHOP}` })).status).toBe(
        400,
      );
  });

  test("sees no rules of others, nor that they were used", async () => {
    expect(await map.json<MapCoverage>(`/api/coverage?${RANGE}`, SHOP)).toMatchObject({ edges: [], rules: [] });
  });
});

describe("a reader of the called namespace", () => {
  test("sees rules and their use", async () => {
    const { rules } = await map.json<MapCoverage>(`/api/coverage?${RANGE}`, BANK);
    expect(rules).toMatchObject([{ policy: "bank/ledger", rule: 0, file: "policies/all.yaml", line: 8, flows: 1 }]);
  });

  test("is told why, with the nearest rule and a policy that allows exactly that", async () => {
    const { nearest, grant, flow } = await map.json<MapExplanation>("/api/explanation?id=00000000000000d1", BANK);
    expect(nearest).toMatchObject({ policy: "bank/ledger", rule: 0, file: "policies/all.yaml" });
    expect(nearest!.excerpt.some(({ isMarked }) => isMarked)).toBe(true);
    expect(grant).toMatchObject({ namespace: "bank" });
    // As it was sent: to show it harmlessly is the page's work, and no answer of ours is a page.
    expect(flow.path).toBe(HOSTILE);
    const { headers } = await map.get("/api/explanation?id=00000000000000d1", { authorization: `Bearer ${BANK}` });
    expect(headers).toMatchObject({
      "content-type": "application/json; charset=utf-8",
      "x-content-type-options": "nosniff",
    });
  });
});

test("whoever reads all sees all", async () => {
  const { nodes } = await map.json<MapGraph>(`/api/graph?${RANGE}`, ALL);
  expect(nodes.map(({ id }) => id)).toEqual(["bank/ledger", "bank/teller", "other/secret", "shop/web"]);
});
