import { describe, expect, it } from "vitest";
import { locatePlain } from "../../../../src/core/located.ts";
import { type MutualTlsMode, mutualTlsAt } from "../../../../src/policy/authentication/mutual-tls.ts";
import { parseAuthenticationDocument } from "../../../../src/policy/authentication/document.ts";
import { peerAuthenticationsOf, resolveMutualTls } from "../../../../src/policy/authentication/resolve-peer.ts";

type Mode = MutualTlsMode | "UNSET";

/** `namespace/name`, a mode, labels and modes of ports, in the order of what a reader looks for. */
function document(id: string, mode: Mode | null, labels: object | null = null, ports: Record<number, Mode> = {}) {
  const [namespace, name] = id.split("/");
  const entries = Object.entries(ports).map(([port, each]) => [port, { mode: each }]);
  const spec = {
    ...(mode === null ? {} : { mtls: { mode } }),
    ...(labels === null ? {} : { selector: { matchLabels: labels } }),
    ...(entries.length === 0 ? {} : { portLevelMtls: Object.fromEntries(entries) }),
  };
  const raw = {
    apiVersion: "security.istio.io/v1",
    kind: "PeerAuthentication",
    metadata: { name, namespace },
    spec,
  };
  const parsed = parseAuthenticationDocument("PeerAuthentication", locatePlain(raw), { file: "test.yaml" }, []);
  if (parsed?.kind !== "PeerAuthentication") throw new Error("not a PeerAuthentication");
  return parsed;
}

type Documents = readonly ReturnType<typeof document>[];

function at(port: number, documents: Documents, namespace = "shop", labels: Record<string, string> = { app: "a" }) {
  const { mode, by } = mutualTlsAt(resolveMutualTls(documents, { namespace, labels }, "root"), port);
  return `${mode} ${by ?? "-"}`;
}

const A = { app: "a" };

describe("what a workload's ports take", () => {
  const cases: readonly (readonly [string, Documents, string])[] = [
    ["is STRICT where nobody says anything", [], "STRICT -"],
    ["is the mesh's where nobody else speaks", [document("root/m", "PERMISSIVE")], "PERMISSIVE root/m"],
    [
      "is the namespace's over the mesh's",
      [document("root/m", "STRICT"), document("shop/n", "DISABLE")],
      "DISABLE shop/n",
    ],
    [
      "is the workload's over both",
      [document("root/m", "DISABLE"), document("shop/n", "PERMISSIVE"), document("shop/w", "STRICT", A)],
      "STRICT shop/w",
    ],
    [
      "is the mesh's where namespace and workload are UNSET",
      [document("root/m", "PERMISSIVE"), document("shop/n", "UNSET"), document("shop/w", null, A)],
      "PERMISSIVE root/m",
    ],
    ["stays STRICT where all are UNSET (Istio: PERMISSIVE)", [document("root/m", "UNSET")], "STRICT -"],
    ["is the port's over the workload's", [document("shop/w", "STRICT", A, { 8080: "DISABLE" })], "DISABLE shop/w"],
    ["is the workload's on other ports", [document("shop/w", "STRICT", A, { 80: "DISABLE" })], "STRICT shop/w"],
    [
      "is the workload's on a port that is UNSET",
      [document("shop/w", "PERMISSIVE", A, { 8080: "UNSET" })],
      "PERMISSIVE shop/w",
    ],
    [
      "is the namespace's on a port that is UNSET of a workload that is UNSET",
      [document("shop/n", "PERMISSIVE"), document("shop/w", null, A, { 8080: "UNSET" })],
      "PERMISSIVE shop/n",
    ],
    [
      "on a port is STRICT under a namespace that is DISABLE",
      [document("shop/n", "DISABLE"), document("shop/w", null, A, { 8080: "STRICT" })],
      "STRICT shop/w",
    ],
    ["is not another namespace's", [document("other/n", "DISABLE")], "STRICT -"],
    ["is not another workload's", [document("shop/w", "DISABLE", { app: "b" })], "STRICT -"],
    [
      "is not one's whose labels it has only in part",
      [document("shop/w", "DISABLE", { app: "a", v: "1" })],
      "STRICT -",
    ],
    ["is nothing that the root namespace says with labels", [document("root/w", "DISABLE", A)], "STRICT -"],
    [
      "of several for a namespace is the first's by name",
      [document("shop/b", "DISABLE"), document("shop/a", "PERMISSIVE")],
      "PERMISSIVE shop/a",
    ],
    [
      "of several for a workload is the first's by name, ports and all",
      [document("shop/b", "DISABLE", A, { 8080: "DISABLE" }), document("shop/a", "PERMISSIVE", A)],
      "PERMISSIVE shop/a",
    ],
    [
      "of several for the mesh is the first's by name, even where it is UNSET",
      [document("root/b", "DISABLE"), document("root/a", "UNSET")],
      "STRICT -",
    ],
  ];

  it.each(cases)("%s", (_name, documents, expected) => {
    expect(at(8080, documents)).toBe(expected);
    expect(at(8080, documents.toReversed())).toBe(expected);
  });

  it("in the root namespace is the mesh's alone", () => {
    const documents = [document("root/m", "PERMISSIVE"), document("root/w", "DISABLE", A, { 8080: "DISABLE" })];
    expect(at(8080, documents, "root")).toBe("PERMISSIVE root/m");
  });
});

it("what is no PeerAuthentication says nothing of it", () => {
  const raw = {
    apiVersion: "security.istio.io/v1",
    kind: "RequestAuthentication",
    metadata: { name: "r", namespace: "shop" },
    spec: {},
  };
  const other = parseAuthenticationDocument("RequestAuthentication", locatePlain(raw), { file: "test.yaml" }, []);
  const own = document("shop/n", "DISABLE");
  expect(peerAuthenticationsOf([other!, own])).toEqual([own]);
  expect(peerAuthenticationsOf([other!])).toEqual([]);
});
