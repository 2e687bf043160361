import type { ProxyConfig } from "../../config/proxy-config.ts";

/** Marks a service's own workload: labels of the mesh file may be the same for several services. */
const SERVICE_LABEL = "cardea.dev/service";
/** Istio's mark of a workload that takes HBONE. */
const TUNNEL = { "networking.istio.io/tunnel": "http" };
const CLUSTER_DOMAIN = "cluster.local";

/**
 * What the registry knows of a local service: a ServiceEntry with its names and container ports, and a WorkloadEntry
 * that says where its sidecar's inbound ports are (networking.istio.io/v1, in a v1 List).
 */
export function formatRegistryDocument(config: ProxyConfig): string {
  const { name, namespace } = config;
  const metadata = { name, namespace };
  const selector = { [SERVICE_LABEL]: name };
  const workload = {
    apiVersion: "networking.istio.io/v1",
    kind: "WorkloadEntry",
    metadata,
    spec: {
      address: config.outbound.host,
      ports: {
        ...Object.fromEntries(config.inbound.map((each) => [portNameOf(each), each.listen.port])),
        ...(config.hbone === null ? {} : { hbone: config.hbone.port }),
      },
      labels: { ...config.labels, ...selector, ...(config.hbone === null ? {} : TUNNEL) },
      serviceAccount: config.serviceAccount,
    },
  };
  const service = {
    apiVersion: "networking.istio.io/v1",
    kind: "ServiceEntry",
    metadata,
    spec: {
      hosts: [`${name}.${namespace}.svc.${CLUSTER_DOMAIN}`],
      ports: config.inbound.map((each) => ({ number: each.port, name: portNameOf(each), ...declarationOf(each) })),
      workloadSelector: { labels: selector },
      location: "MESH_INTERNAL",
      resolution: "STATIC",
    },
  };
  // A service without a port is a caller only: nothing to look up.
  const items = config.inbound.length === 0 ? [workload] : [service, workload];
  return `${JSON.stringify({ apiVersion: "v1", kind: "List", items }, null, 2)}\n`;
}

/** Istio has no word for a port that declares nothing. */
function declarationOf({ protocol }: ProxyConfig["inbound"][number]) {
  return protocol === "AUTO" ? {} : { protocol };
}

/** As Istio names ports: the protocol first. */
function portNameOf(port: ProxyConfig["inbound"][number]): string {
  return `${port.protocol.toLowerCase()}-${port.port}`;
}
