import { expect, test } from "vitest";
import { loadMeshApi } from "../../../src/api/load.ts";
import { formatRegistryDocument } from "../../../src/cli/local/registry-document.ts";
import type { ProxyConfig } from "../../../src/config/proxy-config.ts";
import { createRegistryBuilder } from "../../../src/control/distribute/registry-content.ts";
import { parseRegistryFile } from "../../../src/control/distribute/registry-documents.ts";
import { spiffeIdFor } from "../../../src/core/spiffe-id.ts";
import { NO_TLS } from "../../../src/observe/flow.ts";
import { pairLabelValues } from "../../../src/observe/flow-labels.ts";
import { PAIR_LABELS } from "../../../src/observe/metric-table.ts";
import type { RegistrySnapshot } from "../../../src/proxy/discovery/registry-snapshot.ts";
import { createServiceTable } from "../../../src/proxy/discovery/service-table.ts";
import { readWireAddress } from "../../../src/proxy/discovery/wire-address.ts";
import { callerPeer, endpointPeer, ownPeer } from "../../../src/proxy/flow-peers.ts";

// A workload is described twice: by its own sidecar, from its labels, and by the one at the other end, from the
// registry. Sums and joins over both reporters need the same words.

const AT = { host: "127.0.0.1", port: 15_106 };
const PRINCIPAL = spiffeIdFor("cluster.local", "shop", "orders");

type Labels = Readonly<Record<string, string>>;

/** The registry as a sidecar has it, when the mesh has one workload. */
function registryWith(labels: Labels): RegistrySnapshot {
  const inbound = [{ listen: AT, port: 8080, protocol: "HTTP", app: AT }];
  const config = {
    name: "orders",
    namespace: "shop",
    serviceAccount: "orders",
    labels,
    inbound,
    hbone: null,
    outbound: AT,
  };
  const documents = parseRegistryFile(formatRegistryDocument(config as unknown as ProxyConfig), "orders.json", []);
  const api = loadMeshApi();
  const content = createRegistryBuilder({ api, trustDomain: "cluster.local" }).build("1", documents!);
  const table = createServiceTable();
  for (const { name, version, body } of content.resources.values()) {
    table.put(name, readWireAddress({ name, version, resource: body }, "cluster.local"));
  }
  return table.snapshot();
}

/** The metrics' labels of the workload as source and as destination, each as both reporters tell them. */
function told(labels: Labels) {
  const registry = registryWith(labels);
  const service = registry.lookup("orders", "shop")!;
  const workload = { name: "orders", namespace: "shop", labels };
  const peers = {
    own: ownPeer(AT, { workload, principal: PRINCIPAL, service: null }),
    caller: callerPeer(AT, PRINCIPAL, registry),
    ownService: ownPeer(AT, { workload, principal: PRINCIPAL, service: service.fqdn }),
    chosen: endpointPeer(service.ports.get(8080)!.endpoints[0]!, service),
  };
  const source = (peer: typeof peers.own) => valuesOf("source_", peer, peers.own);
  const destination = (peer: typeof peers.own) => valuesOf("destination_", peers.own, peer);
  return {
    source: { own: source(peers.own), far: source(peers.caller) },
    destination: { own: destination(peers.ownService), far: destination(peers.chosen) },
  };
}

function valuesOf(side: string, source: ReturnType<typeof ownPeer>, destination: ReturnType<typeof ownPeer>): Labels {
  const values = pairLabelValues({ reporter: "source", source, destination, tls: { ...NO_TLS } }, "http");
  const pairs = PAIR_LABELS.map((label, index) => [label, values[index]!] as const);
  return Object.fromEntries(pairs.filter(([label]) => label.startsWith(side)));
}

test.each<[string, Labels, { app: string; version: string; revision: string }]>([
  ["app alone", { app: "orders" }, { app: "orders", version: "unknown", revision: "latest" }],
  ["app and version", { app: "shop-orders", version: "v2" }, { app: "shop-orders", version: "v2", revision: "v2" }],
  ["no labels", {}, { app: "orders", version: "unknown", revision: "latest" }],
  ["empty labels", { app: "", version: "" }, { app: "orders", version: "unknown", revision: "latest" }],
  [
    "Kubernetes' recommended labels",
    { "app.kubernetes.io/name": "o", "app.kubernetes.io/version": "1.4", app: "x", version: "y" },
    { app: "o", version: "1.4", revision: "1.4" },
  ],
  [
    "Istio's canonical labels",
    { "service.istio.io/canonical-name": "o", "service.istio.io/canonical-revision": "r7", app: "x", version: "y" },
    { app: "o", version: "r7", revision: "r7" },
  ],
])("a workload with %s is told alike by both reporters", (_, labels, { app, version, revision }) => {
  const { source, destination } = told(labels);
  expect(source.far).toEqual(source.own);
  expect(destination.far).toEqual(destination.own);
  expect(source.own).toMatchObject({
    source_app: app,
    source_version: version,
    source_canonical_service: app,
    source_canonical_revision: revision,
  });
});

test("a caller that the registry does not know is told by its identity alone", () => {
  const stranger = callerPeer(AT, spiffeIdFor("cluster.local", "shop", "new"), registryWith({ app: "orders" }));
  expect(stranger).toMatchObject({ workload: "new", namespace: "shop", labels: null });
  expect(valuesOf("source_", stranger, stranger)).toMatchObject({
    source_app: "unknown",
    source_version: "unknown",
    source_canonical_service: "new",
    source_canonical_revision: "latest",
  });
});

test("nothing is told of a caller that proved no identity", () => {
  const nobody = callerPeer(AT, null, registryWith({ app: "orders" }));
  const values = Object.values(valuesOf("source_", nobody, nobody));
  expect(new Set(values)).toEqual(new Set(["unknown", "latest"]));
});
