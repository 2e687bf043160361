import { parsePolicyFiles } from "../../../src/config/policy-files.ts";
import { formatFault } from "../../../src/core/located.ts";
import { compileTraffic } from "../../../src/traffic/compile.ts";
import type { TrafficDocument } from "../../../src/traffic/document.ts";
import type { Client } from "../../../src/traffic/rule-choice.ts";
import type { TrafficSet } from "../../../src/traffic/traffic-set.ts";

const API_VERSIONS = {
  DestinationRule: "networking.istio.io/v1",
  VirtualService: "networking.istio.io/v1",
  HTTPRoute: "gateway.networking.k8s.io/v1",
  GRPCRoute: "gateway.networking.k8s.io/v1",
};

export type Kind = keyof typeof API_VERSIONS;

/** A document as text; `id` is `name`, in namespace shop, or `namespace/name`. */
export function documentText(kind: Kind, id: string, spec: object): string {
  const [namespace, name] = id.includes("/") ? id.split("/") : ["shop", id];
  return JSON.stringify({ apiVersion: API_VERSIONS[kind], kind, metadata: { name, namespace }, spec });
}

/** The faults of one document, without the file's name. */
export function faultsOf(kind: Kind, spec: object): string[] {
  return parsePolicyFiles([{ path: "t.yaml", text: documentText(kind, "d", spec) }]).faults.map((fault) =>
    formatFault({ ...fault, line: null }).replace("t.yaml: ", ""),
  );
}

/** Throws when a text has a fault. */
export function documentsOf(...texts: readonly string[]): readonly TrafficDocument[] {
  const { traffic, faults } = parsePolicyFiles(texts.map((text, index) => ({ path: `${index}.yaml`, text })));
  if (faults.length > 0) throw new Error(faults.map(formatFault).join("\n"));
  return traffic;
}

export const WEB: Client = { namespace: "shop", labels: { app: "web" } };

/** What the documents say to a client; web of shop when nothing is said. */
export function compiled(texts: readonly string[], client: Client = WEB): TrafficSet {
  return compileTraffic(documentsOf(...texts), { revision: "r", client, rootNamespace: "cardea-system" }).set;
}

export const ORDERS = "orders.shop.svc.cluster.local";
