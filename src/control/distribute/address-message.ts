import type { MeshApi } from "../../api/load.ts";
import { ADDRESS_TYPE, PLAINTEXT_PORTS_EXTENSION, PLAINTEXT_PORTS_TYPE } from "../../api/resource-types.ts";
import { type IpAddress, parseIp } from "../../core/cidr.ts";
import type { PortProtocol } from "../../core/port-protocol.ts";
import { spiffeIdFor } from "../../core/spiffe-id.ts";
import { exportToAny } from "./about.ts";
import type { PlaintextPorts } from "./plaintext-ports.ts";
import { createResource, type Resource } from "./resource.ts";

/** A service as it is distributed. */
export interface ServiceMessage {
  readonly name: string;
  readonly namespace: string;
  readonly hostname: string;
  /** Its own, where it has some. */
  readonly addresses: readonly string[];
  readonly ports: readonly MessagePort[];
  /** Namespaces; null: all. */
  readonly exportTo: readonly string[] | null;
}

export interface MessagePort {
  readonly port: number;
  readonly targetPort: number;
  readonly protocol: PortProtocol;
}

/** A workload as it is distributed. */
export interface WorkloadMessage {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  /** IP literals, one at least. */
  readonly addresses: readonly string[];
  readonly serviceAccount: string;
  readonly workloadName: string;
  readonly labels: ReadonlyMap<string, string>;
  /** What stands in front of it: a sidecar, with or without an HBONE port; or nothing, and then nobody may send to it. */
  readonly reach: { readonly hbonePort: number | null } | "none";
  /** Which of its ports take plaintext alone; null: none. */
  readonly plaintext: PlaintextPorts | null;
  /** By the resource names of the services that it serves. */
  readonly services: readonly {
    readonly name: string;
    readonly ports: readonly MessagePort[];
    readonly exportTo: readonly string[] | null;
  }[];
}

/** istio.workload.Address of a service. */
export function serviceMessage(message: ServiceMessage, api: MeshApi): Resource {
  const { name, namespace, hostname, exportTo } = message;
  const addresses = message.addresses.map((each) => ({ network: "", address: addressBytes(each) }));
  const service = { name, namespace, hostname, ports: message.ports.map(portMessage), addresses };
  const resourceName = `${namespace}/${hostname}`;
  const about = { namespace, isService: true, services: [resourceName], spiffeId: null, exportTo };
  return createResource(resourceName, api.address, ADDRESS_TYPE, { service }, about);
}

/** istio.workload.Address of a workload. */
export function workloadMessage(
  message: WorkloadMessage,
  { api, trustDomain }: { readonly api: MeshApi; readonly trustDomain: string },
): Resource {
  const { uid, name, namespace, serviceAccount, workloadName, labels } = message;
  const addresses = message.addresses.map(addressBytes);
  const services = message.services.map(
    (service) => [service.name, { ports: service.ports.map(portMessage) }] as const,
  );
  const workload = {
    uid,
    name,
    namespace,
    addresses,
    ...reachMessage(message.reach, addresses[0]!),
    trustDomain,
    serviceAccount,
    workloadName,
    canonicalName:
      firstOf(labels, ["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"]) ?? workloadName,
    canonicalRevision:
      firstOf(labels, ["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"]) ?? "latest",
    services: Object.fromEntries(services),
    extensions: message.plaintext === null ? [] : [plaintextExtension(message.plaintext, api)],
  };
  const about = {
    namespace,
    isService: false,
    services: message.services.map((service) => service.name),
    spiffeId: spiffeIdFor(trustDomain, namespace, serviceAccount),
    exportTo: exportToAny(message.services.map(({ exportTo }) => exportTo)),
  };
  return createResource(uid, api.address, ADDRESS_TYPE, { workload }, about);
}

/** A sidecar of ours is its workload's own waypoint, which is how it tells its HBONE port. */
function reachMessage(reach: WorkloadMessage["reach"], address: Buffer) {
  if (reach === "none") return { tunnelProtocol: "NONE" as const };
  if (reach.hbonePort === null) return { tunnelProtocol: "LEGACY_ISTIO_MTLS" as const };
  return {
    tunnelProtocol: "HBONE" as const,
    waypoint: {
      destination: "address" as const,
      address: { network: "", address },
      hboneMtlsPort: reach.hbonePort,
    },
  };
}

/** The registry's own messages have no field for it. What others do not know they leave unread, and send mutual TLS. */
function plaintextExtension({ allBut, ports }: PlaintextPorts, api: MeshApi) {
  const value = api.plaintextPorts.serialize({ allBut, ports: [...ports] });
  return { name: PLAINTEXT_PORTS_EXTENSION, config: { type_url: PLAINTEXT_PORTS_TYPE, value } };
}

function portMessage({ port, targetPort, protocol }: MessagePort) {
  return { servicePort: port, targetPort, appProtocol: APP_PROTOCOLS[protocol] };
}

/** As istio.workload.AppProtocol has it; where nothing is declared, the sidecars look. */
const APP_PROTOCOLS = {
  AUTO: "UNKNOWN",
  HTTP: "HTTP11",
  HTTP2: "HTTP2",
  GRPC: "GRPC",
  TCP: "TCP",
  TLS: "TLS",
} as const satisfies Record<PortProtocol, string>;

/** Istio's order of labels for the `app` of telemetry. */
function firstOf(labels: ReadonlyMap<string, string>, names: readonly string[]): string | undefined {
  return names.map((name) => labels.get(name)).find((value) => value !== undefined && value !== "");
}

/** Whoever read the address has parsed it already. */
function addressBytes(text: string): Buffer {
  const address: IpAddress | null = parseIp(text);
  if (address === null) throw new Error(`not an IP address: ${text}`);
  const hex = address.bits.toString(16).padStart(address.family === 4 ? 8 : 32, "0");
  return Buffer.from(hex, "hex");
}
