import { describe, expect, test } from "vitest";
import { parseRegistryFile } from "../../../../src/control/distribute/registry-documents.ts";
import { formatFault, type Fault } from "../../../../src/core/located.ts";
import { registryOf } from "../control-fixture.ts";

test("a service and its workload are read", () => {
  expect(parse(registryOf("orders", 15_106, { app: "orders", version: "v2" }))).toEqual({
    documents: {
      services: [
        {
          name: "orders",
          namespace: "shop",
          hosts: ["orders.shop.svc.cluster.local"],
          ports: [{ number: 80, name: "http", protocol: "HTTP", targetPort: 8080 }],
          addresses: [],
          selector: new Map([["app", "orders"]]),
          exportTo: null,
        },
      ],
      workloads: [
        {
          name: "orders",
          namespace: "shop",
          address: "127.0.0.1",
          ports: new Map([["http", 15_106]]),
          labels: new Map([
            ["app", "orders"],
            ["version", "v2"],
          ]),
          serviceAccount: "orders",
          hbonePort: null,
        },
      ],
    },
    faults: [],
  });
});

test.each([
  ["by Istio's label, at its usual port", "http", { http: 15_106 }, 15_008],
  ["at the port that it names", "http", { http: 15_106, hbone: 15_108 }, 15_108],
  ["not at all under another value", "none", { hbone: 15_108 }, null],
])("a workload takes HBONE %s", (_, label, ports, hbonePort) => {
  const labels = { app: "orders", "networking.istio.io/tunnel": label };
  const spec = { address: "127.0.0.1", ports, labels, serviceAccount: "orders" };
  expect(parse(changed(["items", 1, "spec"], spec)).documents?.workloads).toMatchObject([{ hbonePort }]);
});

test("a target port that is left out is the service's port; a protocol that is left out is TCP, as in Istio", () => {
  const { documents } = parse(changed(["items", 0, "spec", "ports"], [{ number: 5432, name: "db" }]));
  expect(documents?.services[0]!.ports).toEqual([{ number: 5432, name: "db", protocol: "AUTO", targetPort: 5432 }]);
});

describe("a file is refused whole, with the field,", () => {
  test.each([
    ["for an item of another kind", ["items", 1, "kind"], "Pod", "items[1].kind: expected one of ServiceEntry"],
    ["for an item without a kind", ["items", 0, "kind"], undefined, "items[0].kind: is required"],
    ["for an item that is no map", ["items", 0], 7, "items[0].kind: is required"],
    ["for another API version", ["items", 0, "apiVersion"], "v1", "items[0].apiVersion: expected one of networking"],
    ["for no list", ["kind"], "ServiceEntry", "kind: expected one of List"],
    ["for no host", ["items", 0, "spec", "hosts"], [], "items[0].spec.hosts: must not be an empty list"],
    ["for a wildcard host", ["items", 0, "spec", "hosts"], ["*.shop"], "items[0].spec.hosts[0]: expected a host name"],
    [
      "for a host in upper case",
      ["items", 0, "spec", "hosts"],
      ["Web.shop"],
      "items[0].spec.hosts[0]: expected a host",
    ],
    [
      "for a host with an empty label",
      ["items", 0, "spec", "hosts"],
      ["a..b"],
      "items[0].spec.hosts[0]: expected a host",
    ],
    ["for port 0", ["items", 0, "spec", "ports", 0, "number"], 0, "items[0].spec.ports[0].number: expected a whole"],
    [
      "for a port that does not exist",
      ["items", 1, "spec", "ports", "http"],
      65_536,
      'items[1].spec.ports["http"]: expected',
    ],
    [
      "for a protocol that is unknown",
      ["items", 0, "spec", "ports", 0, "protocol"],
      "QUIC",
      "ports[0].protocol: expected a protocol",
    ],
    [
      "for a selector that takes in everything",
      ["items", 0, "spec", "workloadSelector", "labels"],
      {},
      "labels: needs at least one",
    ],
    [
      "for a service outside of the mesh",
      ["items", 0, "spec", "location"],
      "MESH_EXTERNAL",
      "spec.location: expected one of",
    ],
    [
      "for endpoints without an identity",
      ["items", 0, "spec", "endpoints"],
      [],
      "spec.endpoints: is not supported: write",
    ],
    [
      "for an address that is a host name",
      ["items", 1, "spec", "address"],
      "localhost",
      "spec.address: expected an IP",
    ],
    [
      "for a namespace that would be read as a path",
      ["items", 1, "metadata", "namespace"],
      "a/b",
      "metadata.namespace: expected",
    ],
    [
      "for a service account that would be",
      ["items", 1, "spec", "serviceAccount"],
      "a/../b",
      "spec.serviceAccount: expected",
    ],
    ["for no service account", ["items", 1, "spec", "serviceAccount"], undefined, "spec.serviceAccount: is required"],
    ["for a mistyped field", ["items", 1, "spec", "adress"], "127.0.0.1", "did you mean `address`?"],
  ] as const)("%s", (_name, path, value, message) => {
    const { documents, faults } = parse(changed(path, value));
    expect(documents).toBeNull();
    expect(faults.map(formatFault).join("\n")).toContain(message);
  });

  test.each([
    ["for no JSON", "{", "r.json: is not JSON"],
    ["for an empty file", "", "r.json: is not JSON"],
    ["for null", "null", "r.json: expected a map"],
    ["for bytes that are nothing", "\u0000\uffff", "r.json: is not JSON"],
  ])("%s", (_name, text, message) => {
    const faults: Fault[] = [];
    expect(parseRegistryFile(text, "r.json", faults)).toBeNull();
    expect(faults.map(formatFault).join("\n")).toContain(message);
  });
});

function parse(document: unknown) {
  const faults: Fault[] = [];
  const documents = parseRegistryFile(JSON.stringify(document), "r.json", faults);
  return { documents, faults };
}

/** The good file with one value replaced, or left out when it is undefined. */
function changed(path: readonly (string | number)[], value: unknown): unknown {
  const document = structuredClone(registryOf("orders", 15_106)) as unknown;
  let at = document as Record<string | number, unknown>;
  for (const step of path.slice(0, -1)) at = at[step] as Record<string | number, unknown>;
  at[path.at(-1)!] = value;
  return document;
}
