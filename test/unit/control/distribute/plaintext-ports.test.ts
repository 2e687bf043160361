import { afterEach, describe, expect, test } from "vitest";
import { loadMeshApi } from "../../../../src/api/load.ts";
import { parsePolicyFiles } from "../../../../src/config/policy-files.ts";
import { createPlaintextTable } from "../../../../src/control/distribute/plaintext-ports.ts";
import { createPolicyContent, type PolicyContent } from "../../../../src/control/distribute/policy-content.ts";
import { openRegistry, type Registry } from "../../../../src/control/distribute/registry.ts";
import { createLatest } from "../../../../src/core/latest.ts";
import { readWireAddress, takesPlaintext } from "../../../../src/proxy/discovery/wire-address.ts";
import { createKeptLog } from "../../../support/kept-log.ts";
import { registryOf } from "../control-fixture.ts";

const api = loadMeshApi();
const SHOP = { namespace: "shop", labels: { app: "orders" } };

function peer(name: string, spec: string, namespace = "shop"): string {
  const head = "apiVersion: security.istio.io/v1\nkind: PeerAuthentication";
  return `${head}\nmetadata: {name: ${name}, namespace: ${namespace}}\nspec: ${spec}\n`;
}

function contentOf(...texts: readonly string[]): PolicyContent {
  const set = parsePolicyFiles(texts.map((text, i) => ({ path: `${i}.yaml`, text })));
  if (set.faults.length > 0) throw new Error(JSON.stringify(set.faults));
  return createPolicyContent(set, api);
}

function tableOf(...texts: readonly string[]) {
  return createPlaintextTable(createLatest<PolicyContent | null>(contentOf(...texts)), "cardea-system");
}

const ORDERS = "selector: {matchLabels: {app: orders}}";

describe("callers are told of a workload's ports", () => {
  test.each([
    ["nothing where nobody says anything", [], null],
    ["nothing where all is PERMISSIVE", [peer("a", "{mtls: {mode: PERMISSIVE}}")], null],
    ["nothing of another namespace's", [peer("a", "{mtls: {mode: DISABLE}}", "bank")], null],
    ["all of them where they are DISABLE", [peer("a", "{mtls: {mode: DISABLE}}")], { allBut: true, ports: [] }],
    [
      "those that are DISABLE",
      [peer("a", `{${ORDERS}, portLevelMtls: {9090: {mode: DISABLE}, 80: {mode: DISABLE}, 81: {mode: PERMISSIVE}}}`)],
      { allBut: false, ports: [80, 9090] },
    ],
    [
      "all but those that are not",
      [peer("a", `{${ORDERS}, mtls: {mode: DISABLE}, portLevelMtls: {81: {mode: STRICT}, 82: {mode: DISABLE}}}`)],
      { allBut: true, ports: [81] },
    ],
  ])("%s", (_name, texts, expected) => {
    expect(tableOf(...texts).of(SHOP)).toEqual(expected);
  });
});

test("is told of a change of PeerAuthentications alone", () => {
  const before = contentOf(peer("a", "{mtls: {mode: STRICT}}"));
  const policies = createLatest<PolicyContent | null>(before);
  let changes = 0;
  createPlaintextTable(policies, "cardea-system").subscribe(() => changes++);
  policies.set({ ...before, revision: "another" });
  expect(changes).toBe(0);
  policies.set(contentOf(peer("a", "{mtls: {mode: DISABLE}}")));
  expect(changes).toBe(1);
  policies.set(null);
  expect(changes).toBe(2);
});

describe("the registry", () => {
  let registry: Registry;
  afterEach(() => registry.close());

  test("says it of workloads, and again when a PeerAuthentication changes", async () => {
    const policies = createLatest<PolicyContent | null>(contentOf());
    const file = { path: "a.json", kind: "text" as const, text: JSON.stringify(registryOf("orders", 1_001)) };
    const directory = { path: "registry", read: async () => [file], watch: () => ({ close() {} }) };
    const plaintext = createPlaintextTable(policies, "cardea-system");
    registry = await openRegistry({
      directory,
      api,
      trustDomain: "cluster.local",
      plaintext,
      logger: createKeptLog(),
    });
    expect(workload()).toMatchObject({ plaintext: null });
    const changed = new Promise<void>((resolve) => void registry.content.subscribe(() => resolve()));
    policies.set(contentOf(peer("a", "{mtls: {mode: DISABLE}}")));
    await changed;
    const told = workload().plaintext;
    expect([80, 8080].map((port) => takesPlaintext(told, port))).toEqual([true, true]);
  });

  function workload() {
    const all = [...registry.content.get().resources.values()];
    const addresses = all.map(({ name, version, body }) =>
      readWireAddress({ name, version, resource: body }, "cluster.local"),
    );
    const found = addresses.find(({ kind }) => kind === "workload");
    if (found?.kind !== "workload") throw new Error("no workload");
    return found.workload;
  }
});
