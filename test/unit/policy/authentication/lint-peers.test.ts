import { describe, expect, test } from "vitest";
import { parsePolicyFiles } from "../../../../src/config/policy-files.ts";
import { formatFault } from "../../../../src/core/located.ts";
import { lintPeers, type WorkloadPorts } from "../../../../src/policy/authentication/lint-peers.ts";

const ORDERS: WorkloadPorts = {
  name: "shop/orders",
  namespace: "shop",
  labels: { app: "orders", tier: "back" },
  ports: [{ port: 8080 }, { port: 9090 }],
};

function lint(texts: readonly string[], workloads: readonly WorkloadPorts[] | null = [ORDERS]): readonly string[] {
  const text = texts
    .map((each) => `apiVersion: security.istio.io/v1\nkind: PeerAuthentication\n${each}\n`)
    .join("---\n");
  const { authentication, faults } = parsePolicyFiles([{ path: "p.yaml", text }]);
  if (faults.length > 0) throw new Error(faults.map(formatFault).join("\n"));
  return lintPeers(authentication, { rootNamespace: "cardea-system", workloads }).map(formatFault);
}

const peer = (name: string, spec: string, namespace = "shop") =>
  `metadata: {name: ${name}, namespace: ${namespace}}\nspec: ${spec}`;
const APP = "selector: {matchLabels: {app: orders}}";

describe("policy check warns of a PeerAuthentication", () => {
  test("with labels in the root namespace", () => {
    expect(lint([peer("a", `{${APP}, mtls: {mode: DISABLE}}`, "cardea-system")])).toEqual([
      expect.stringContaining("p.yaml:1:1: spec.selector: holds for nobody"),
    ]);
  });

  test("beside another one for the namespace", () => {
    expect(lint([peer("b", "{mtls: {mode: STRICT}}"), peer("a", "{mtls: {mode: DISABLE}}")])).toEqual([
      "p.yaml:1:1: is passed over: for the namespace shop shop/a holds, the first by name (p.yaml:6)",
    ]);
  });

  test("beside another one for the same labels", () => {
    const [warning] = lint([peer("a", `{${APP}}`), peer("b", `{${APP}, mtls: {mode: STRICT}}`)]);
    expect(warning).toContain("is passed over: for the same labels shop/a holds");
  });

  test("beside another one for a workload that has both their labels", () => {
    const other = peer("b", "{selector: {matchLabels: {tier: back}}, mtls: {mode: STRICT}}");
    expect(lint([peer("a", `{${APP}}`), other])).toEqual([
      "p.yaml:6:1: is passed over for shop/orders: shop/a holds, the first by name",
    ]);
  });

  test("for labels that no known workload has", () => {
    expect(lint([peer("a", "{selector: {matchLabels: {app: order}}}")])).toEqual([
      "p.yaml:1:1: spec.selector: selects no known workload",
    ]);
  });

  test("for a port that none of its workloads has", () => {
    const [warning, ...others] = lint([
      peer("a", `{${APP}, portLevelMtls: {80: {mode: DISABLE}, 9090: {mode: STRICT}}}`),
    ]);
    expect(warning).toContain('spec.portLevelMtls["80"]: none of the workloads that it selects has the port');
    expect(warning).toContain("8080, 9090");
    expect(others).toEqual([]);
  });
});

describe("policy check says nothing of a PeerAuthentication", () => {
  test.each([
    [
      "of the mesh, of a namespace and of labels, one each",
      [
        peer("a", "{mtls: {mode: STRICT}}", "cardea-system"),
        peer("a", "{mtls: {mode: PERMISSIVE}}"),
        peer("w", `{${APP}, portLevelMtls: {8080: {mode: DISABLE}}}`),
      ],
    ],
    ["of two namespaces", [peer("a", "{}"), peer("a", "{}", "bank")]],
  ])("%s", (_name, texts) => {
    expect(lint(texts)).toEqual([]);
  });

  test("about ports and labels where no workloads are known", () => {
    expect(lint([peer("a", "{selector: {matchLabels: {app: x}}, portLevelMtls: {1: {mode: DISABLE}}}")], null)).toEqual(
      [],
    );
  });

  test("about ports where one of its workloads does not tell its own", () => {
    expect(
      lint([peer("a", `{${APP}, portLevelMtls: {1: {mode: DISABLE}}}`)], [ORDERS, { ...ORDERS, ports: null }]),
    ).toEqual([]);
  });
});
