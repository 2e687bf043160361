import type { Mesh, MeshService } from "../config/mesh.ts";
import { carriesRequests, type PortProtocol } from "../core/port-protocol.ts";
import { type SpiffeId, spiffeIdFor, workloadNameOf } from "../core/spiffe-id.ts";
import type { KnownWorkload } from "../policy/analysis/known-workload.ts";
import type { Facts, Protocol } from "../policy/analysis/space/facts.ts";
import { serviceHost } from "../traffic/hosts.ts";

/** A mesh file's services, as the analyses of policies know workloads. */
export function knownWorkloads({ services, settings }: Mesh): readonly KnownWorkload[] {
  return services.map((service) => ({
    name: `${service.namespace}/${service.name}`,
    namespace: service.namespace,
    labels: service.labels,
    principal: spiffeIdFor(settings.trustDomain, service.namespace, service.serviceAccount),
    ports: service.ports.map(({ port, protocol }) => ({ port, protocols: protocolsOn(protocol) })),
    hosts: hostsOf(service),
  }));
}

/** On a port that declares nothing, policy sees what the first bytes turn out to be. */
function protocolsOn(protocol: PortProtocol): readonly Protocol[] {
  if (protocol === "AUTO") return ["http", "tcp"];
  return carriesRequests(protocol) ? ["http"] : ["tcp"];
}

function hostsOf({ name, namespace }: MeshService): readonly string[] {
  return [serviceHost(name, namespace)];
}

/** Who a principal is to people: `namespace/account` of a known caller, else an example of those who are decided alike. */
export function callerName(principal: SpiffeId | null, workloads: readonly KnownWorkload[]): string {
  if (principal === null) return "anybody without an identity";
  const name = workloadNameOf(principal);
  const isKnown = workloads.some((each) => each.principal === principal);
  return isKnown && name !== null ? `${name.namespace}/${name.serviceAccount}` : `e.g. ${principal}`;
}

/** What is asked in an example, in a few words: `GET /orders host orders`. Only what differs from what anybody would send. */
export function requestWords(facts: Facts, { protocol, port }: { protocol: Protocol; port: number | null }): string {
  const words = protocol === "http" ? [facts.method, facts.path] : ["a connection"];
  if (port === null) words.push(`port ${facts.destinationPort}`);
  if (protocol === "http") {
    if (facts.host !== "") words.push(`host ${facts.host}`);
    for (const [name, value] of Object.entries(facts.headers)) words.push(`${name}: ${JSON.stringify(value)}`);
    if (facts.claims !== null) words.push(`with a token that says ${JSON.stringify(facts.claims)}`);
  }
  if (!facts.sourceIp.startsWith("192.0.2.")) words.push(`from ${facts.sourceIp}`);
  if (facts.remoteIp !== null && !facts.remoteIp.startsWith("192.0.2.")) words.push(`for ${facts.remoteIp}`);
  if (facts.sni !== "") words.push(`sni ${facts.sni}`);
  return words.join(" ");
}
