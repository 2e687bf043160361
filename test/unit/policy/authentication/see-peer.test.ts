import { describe, expect, test } from "vitest";
import { parsePolicyFiles } from "../../../../src/config/policy-files.ts";
import { parseSpiffeId, spiffeIdFor } from "../../../../src/core/spiffe-id.ts";
import { blastRadiusOf } from "../../../../src/policy/analysis/blast-radius.ts";
import type { KnownWorkload } from "../../../../src/policy/analysis/known-workload.ts";
import { prove } from "../../../../src/policy/analysis/prove.ts";
import { runPolicyTests } from "../../../../src/policy/analysis/run-policy-tests.ts";
import { mutualTlsFor, seePeer } from "../../../../src/policy/authentication/see-peer.ts";
import { DEFAULT_MESH_SETTINGS } from "../../../../src/policy/mesh-settings.ts";

const settings = DEFAULT_MESH_SETTINGS;
const WEB = parseSpiffeId("spiffe://cluster.local/ns/shop/sa/web");
const ANYBODY_READS = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: reads, namespace: ledger}
spec: {rules: [{to: [{operation: {methods: [GET]}}]}]}
`;
const ORDERS_ALONE = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: orders, namespace: ledger}
spec: {rules: [{from: [{source: {principals: ["cluster.local/ns/shop/sa/orders"]}}]}]}
`;

function peer(spec: string): string {
  return `apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: peer, namespace: ledger}\nspec: ${spec}\n`;
}

const STRICT = peer("{mtls: {mode: STRICT}}");
const PERMISSIVE = peer("{mtls: {mode: PERMISSIVE}}");
const DISABLE = peer("{mtls: {mode: DISABLE}}");
const ONE_PORT = peer("{selector: {matchLabels: {app: ledger}}, portLevelMtls: {7000: {mode: PERMISSIVE}}}");

function read(...texts: readonly string[]) {
  const files = parsePolicyFiles([{ path: "p.yaml", text: texts.join("---\n") }]);
  expect(files.faults).toEqual([]);
  return files;
}

function seen(texts: readonly string[], principal: typeof WEB | null, port = 7000) {
  const facts = { principal, sourceIp: "", remoteIp: "", destinationIp: "", destinationPort: port, sni: null };
  const ledger = { namespace: "ledger", labels: { app: "ledger" } };
  const { peer: as, refusal } = seePeer(
    mutualTlsFor(read(ANYBODY_READS, ...texts).authentication, ledger, settings.rootNamespace),
    facts,
  );
  return [as.principal, refusal?.reason ?? null, refusal?.policy ?? null];
}

describe("a caller as a sidecar sees it", () => {
  test.each<[string, readonly string[], typeof WEB | null, unknown[]]>([
    ["keeps its identity where nobody says anything", [], WEB, [WEB, null, null]],
    ["keeps it under STRICT", [STRICT], WEB, [WEB, null, null]],
    ["keeps it under PERMISSIVE", [PERMISSIVE], WEB, [WEB, null, null]],
    ["has none under DISABLE", [DISABLE], WEB, [null, null, null]],
    ["without identity is let in by PERMISSIVE", [PERMISSIVE], null, [null, null, null]],
    ["without identity is let in by DISABLE", [DISABLE], null, [null, null, null]],
    ["without identity is let in by its port's PERMISSIVE", [ONE_PORT], null, [null, null, null]],
    ["without identity is refused by STRICT", [STRICT], null, [null, "plaintext-refused", "ledger/peer"]],
    ["without identity is refused where nobody says anything", [], null, [null, "plaintext-refused", null]],
  ])("%s", (_name, texts, principal, expected) => {
    expect(seen(texts, principal)).toEqual(expected);
  });

  test("without identity is refused on other ports than that which is PERMISSIVE", () => {
    expect(seen([ONE_PORT], null, 80)).toEqual([null, "plaintext-refused", null]);
  });
});

function workload(namespace: string, name: string, port: number): KnownWorkload {
  return {
    name: `${namespace}/${name}`,
    namespace,
    labels: { app: name },
    principal: spiffeIdFor(settings.trustDomain, namespace, name),
    ports: [{ port, protocols: ["http"] }],
    hosts: [],
  };
}

const MESH = [workload("shop", "web", 80), workload("shop", "orders", 80), workload("ledger", "ledger", 7000)];

function reached(...texts: readonly string[]) {
  const { documents, authentication } = read(...texts);
  const { blasts } = blastRadiusOf(MESH, { documents, authentication, settings });
  return blasts.flatMap((each) => each.direct.map(({ to }) => `${each.workload.name} → ${to.workload.name}`));
}

describe("a breached workload that hides who it is", () => {
  const NOT_WEB = ANYBODY_READS.replace("rules: [{", 'rules: [{from: [{source: {notNamespaces: ["shop"]}}], ');

  test("reaches what nobody in particular may call, where plaintext is let in", () => {
    expect(reached(NOT_WEB, STRICT)).toEqual([]);
    expect(reached(NOT_WEB)).toEqual([]);
    expect(reached(NOT_WEB, PERMISSIVE)).toEqual(["shop/web → ledger/ledger", "shop/orders → ledger/ledger"]);
    expect(reached(NOT_WEB, ONE_PORT)).toEqual(["shop/web → ledger/ledger", "shop/orders → ledger/ledger"]);
  });

  test("reaches nothing more where an identity is asked for", () => {
    expect(reached(ORDERS_ALONE, PERMISSIVE)).toEqual(["shop/orders → ledger/ledger"]);
  });

  const UNREACHABLE = `apiVersion: cardea.dev/v1
kind: Invariant
metadata: {name: i}
spec: {unreachable: {from: [shop/web], to: [ledger/ledger]}}
`;
  test.each([
    [STRICT, "holds"],
    [PERMISSIVE, "broken"],
    [DISABLE, "broken"],
  ])("breaks an Invariant only where it can be nobody: %#", (document, result) => {
    const { documents, authentication, invariants } = read(NOT_WEB, document, UNREACHABLE);
    expect(prove(invariants, { documents, authentication, settings, workloads: MESH })).toMatchObject([{ result }]);
  });
});

function runTest(expected: "allow" | "deny", ...texts: readonly string[]) {
  const asked = `apiVersion: cardea.dev/v1
kind: PolicyTest
metadata: {name: t}
spec:
  to: {namespace: ledger, labels: {app: ledger}, port: 7000}
  tests: [{name: nobody reads, from: anonymous, request: {path: /x}, expect: ${expected}}]
`;
  const { documents, authentication, tests } = read(...texts, asked);
  return runPolicyTests(tests, { documents, authentication, settings, normalizePath: (path) => path });
}

describe("a PolicyTest of a caller without identity", () => {
  test("is allowed what anybody may have, where plaintext is let in", () => {
    expect(runTest("allow", ANYBODY_READS, PERMISSIVE).results).toMatchObject([{ isPassed: true }]);
  });

  test("is denied by STRICT, whose PeerAuthentication decides, and touches no rule", () => {
    const { results, coverage } = runTest("deny", ANYBODY_READS, STRICT);
    expect(results).toMatchObject([
      { isPassed: true, decision: { policy: "ledger/peer", reason: "plaintext-refused", rule: null } },
    ]);
    expect(coverage).toMatchObject([{ isCovered: false }]);
  });

  test("that expects to be allowed under STRICT is told why it is not", () => {
    const [failed] = runTest("allow", ANYBODY_READS, STRICT).results;
    expect(failed?.why).toContain("the PeerAuthentication ledger/peer demands mutual TLS");
  });
});
