import { locatePlain } from "../../src/core/located.ts";
import type { Address, Clock, Network } from "../../src/core/ports.ts";
import { parseSpiffeId } from "../../src/core/spiffe-id.ts";
import { EXTENSION_PROVIDERS, type ExtensionProvider } from "../../src/policy/extension-provider.ts";
import { AdmissionSteps } from "../../src/proxy/admission-steps.ts";
import type { PolicySet } from "../../src/proxy/discovery/policy-sinks.ts";
import { createRegistrySnapshot } from "../../src/proxy/discovery/registry-snapshot.ts";
import { openCustomStep } from "../../src/proxy/ext-authz/open-custom.ts";
import { shopId } from "./test-authority.ts";
import { openTestSidecar, policy, policySetOf, type TestMesh, type TestSidecar } from "./test-mesh.ts";

const LOOPBACK = { host: "127.0.0.1", port: 0 };
const AUTHZ_PORT = 9000;
export const AUTHZ_SERVICE = "authz.shop.svc.cluster.local";

const ORDERS_MAY_ASK = policy("orders-may-ask", {
  rules: [{ from: [{ source: { principals: ["cluster.local/ns/shop/sa/orders"] } }] }],
});

/** Reads one provider, or throws what is wrong with it. */
export function providerOf(document: object): ExtensionProvider {
  const faults: Parameters<typeof EXTENSION_PROVIDERS>[1]["faults"] = [];
  const scope = { file: "mesh.yaml", field: "extensionProviders", faults };
  const read = EXTENSION_PROVIDERS(locatePlain([document]), scope);
  if (read === undefined || faults.length > 0)
    throw new Error(faults.map(({ field, message }) => `${field} ${message}`).join("; "));
  return read[0]!;
}

/** A policy set whose CUSTOM policies ask, as a sidecar makes one. */
export async function customSetOf(
  policies: readonly object[],
  options: { readonly providers: readonly ExtensionProvider[]; readonly clock: Clock; readonly revision?: string },
): Promise<PolicySet> {
  const { providers, clock, revision } = options;
  const set = policySetOf(policies, { extensionProviders: providers }, revision);
  const workload = { namespace: "shop", labels: { app: "orders" } };
  const step = await openCustomStep(set.documents, { workload, settings: set.settings, clock });
  return { ...set, steps: step === null ? null : new AdmissionSteps([step]) };
}

/** A third workload beside web and orders: the server that is asked, behind a sidecar of its own. */
export async function addAuthz(
  mesh: TestMesh,
  world: {
    readonly network: Network;
    readonly clock: Clock;
    readonly app: Address;
    readonly protocol: "HTTP" | "HTTP2";
  },
): Promise<TestSidecar> {
  const { network, clock, app, protocol } = world;
  const options = { network, clock, ordersApp: app, ledgerApp: app };
  const authz = await openTestSidecar(options, mesh.authority, {
    name: "authz",
    inbound: [{ listen: LOOPBACK, port: AUTHZ_PORT, protocol, app }],
  });
  authz.policy.set(policySetOf([ORDERS_MAY_ASK]));
  const [inbound] = authz.sidecar.addresses.inbound;
  const spiffeId = parseSpiffeId(shopId("authz"));
  const endpoint = {
    address: inbound!.host,
    port: inbound!.port,
    containerPort: AUTHZ_PORT,
    hbonePort: null,
    spiffeId,
    workload: "authz-1",
    namespace: "shop",
    canonicalName: "authz",
    revision: "v1",
  };
  const ports = new Map([[AUTHZ_PORT, { port: AUTHZ_PORT, protocol: "HTTP" as const, endpoints: [endpoint] }]]);
  const service = { fqdn: AUTHZ_SERVICE, namespace: "shop", name: "authz", ports };
  mesh.orders.registry.set(createRegistrySnapshot({ services: [service], workloads: [] }));
  authz.registry.set(createRegistrySnapshot({ services: [service], workloads: [] }));
  return authz;
}
