import type { SpiffeId } from "../../src/core/spiffe-id.ts";
import { parseTrustDomain, spiffeIdFor } from "../../src/core/spiffe-id.ts";

/** How large a mesh is simulated. */
export interface WorldSize {
  readonly sidecars: number;
  readonly services: number;
  readonly policies: number;
}

/** A file of the registry or of the policies. */
export interface WorldFile {
  readonly name: string;
  readonly text: string;
}

/** One simulated workload, and the sidecar before it. */
export interface WorldSidecar {
  readonly name: string;
  readonly namespace: string;
  readonly spiffeId: SpiffeId;
  /** Resource names of the services that it sends to. */
  readonly uses: readonly string[];
}

const NAMESPACE_SERVICES = 10;
/** As many services does each app send to. */
const USED_SERVICES = 10;
const TRUST_DOMAIN = parseTrustDomain("cluster.local");

/** Services of ten to a namespace, workloads dealt out over them; each app sends to ten services, its neighbours and others. */
export function createWorld(size: WorldSize): {
  readonly registry: readonly WorldFile[];
  readonly policies: readonly WorldFile[];
  readonly sidecars: readonly WorldSidecar[];
} {
  const workloadsOf = (service: number): number => Math.ceil((size.sidecars - service) / size.services);
  const services = Array.from({ length: size.services }, (_, service) => service);
  return {
    registry: services.map((service) => serviceFile(service, Math.max(0, workloadsOf(service)))),
    policies: [
      policyFile("allow-nothing", "cardea-system", "{}"),
      ...Array.from({ length: size.policies }, (_, policy) => policyOf(policy, size.services)),
    ],
    sidecars: Array.from({ length: size.sidecars }, (_, index) => sidecarOf(index, size.services)),
  };
}

export function serviceName(service: number): string {
  return `service-${service}`;
}

export function namespaceOf(service: number): string {
  return `team-${Math.floor(service / NAMESPACE_SERVICES)}`;
}

/** xDS resource name of a service. */
export function serviceResource(service: number): string {
  return `${namespaceOf(service)}/${serviceName(service)}.${namespaceOf(service)}.svc.cluster.local`;
}

/** xDS resource name of a workload. */
export function workloadResource(service: number, workload: number | string): string {
  return `local/networking.istio.io/WorkloadEntry/${namespaceOf(service)}/${serviceName(service)}-${workload}`;
}

/** A service with workloads of these names, as a file of the registry. */
export function serviceFile(service: number, workloads: number | readonly (number | string)[]): WorldFile {
  const names = typeof workloads === "number" ? Array.from({ length: workloads }, (_, index) => index) : workloads;
  const apiVersion = "networking.istio.io/v1";
  const namespace = namespaceOf(service);
  const name = serviceName(service);
  const items = [
    {
      apiVersion,
      kind: "ServiceEntry",
      metadata: { name, namespace },
      spec: {
        hosts: [`${name}.${namespace}.svc.cluster.local`],
        ports: [{ number: 80, name: "http", protocol: "HTTP", targetPort: 8_080 }],
        workloadSelector: { labels: { app: name } },
      },
    },
    ...names.map((workload, index) => ({
      apiVersion,
      kind: "WorkloadEntry",
      metadata: { name: `${name}-${workload}`, namespace },
      spec: {
        address: `10.${(service >> 8) & 255}.${service & 255}.${(index % 250) + 1}`,
        labels: { app: name, version: "v1" },
        serviceAccount: name,
      },
    })),
  ];
  return { name: `${namespace}.${name}.json`, text: JSON.stringify({ apiVersion: "v1", kind: "List", items }) };
}

/** A policy of some rules that selects one service's workloads; `marker` makes it another text. */
export function policyOf(policy: number, services: number, marker = 0): WorldFile {
  const service = policy % services;
  const caller = (service + 1 + (policy % 7)) % services;
  const spec = {
    selector: { matchLabels: { app: serviceName(service) } },
    action: "ALLOW",
    rules: [
      {
        from: [
          { source: { principals: [`cluster.local/ns/${namespaceOf(caller)}/sa/${serviceName(caller)}`] } },
          { source: { namespaces: [namespaceOf(service)] } },
        ],
        to: [{ operation: { methods: ["GET", "POST"], paths: [`/v1/${policy}/*`, `/health/${marker}`] } }],
      },
    ],
  };
  return policyFile(`policy-${policy}`, namespaceOf(service), JSON.stringify(spec));
}

function policyFile(name: string, namespace: string, spec: string): WorldFile {
  const lines = [
    "apiVersion: security.istio.io/v1",
    "kind: AuthorizationPolicy",
    `metadata: {name: ${name}, namespace: ${namespace}}`,
    `spec: ${spec}`,
    "",
  ];
  return { name: `${namespace}.${name}.yaml`, text: lines.join("\n") };
}

function sidecarOf(index: number, services: number): WorldSidecar {
  const service = index % services;
  const workload = Math.floor(index / services);
  const namespace = namespaceOf(service);
  const steps = Array.from({ length: Math.min(USED_SERVICES, services - 1) }, (_, step) => 1 + step * (step + 1));
  return {
    name: `${serviceName(service)}-${workload}`,
    namespace,
    spiffeId: spiffeIdFor(TRUST_DOMAIN, namespace, serviceName(service)),
    uses: [...new Set(steps.map((step) => serviceResource((service + step) % services)))],
  };
}
