import { unpackAny } from "../../api/any.ts";
import { ADDRESS, PLAINTEXT_PORTS, type Port, type Resource, type Service, type Workload } from "../../api/messages.ts";
import { ADDRESS_TYPE, PLAINTEXT_PORTS_EXTENSION, PLAINTEXT_PORTS_TYPE } from "../../api/resource-types.ts";
import { CardeaError } from "../../core/errors.ts";
import type { PortProtocol } from "../../core/port-protocol.ts";
import { type SpiffeId, spiffeIdFor, workloadNameOf } from "../../core/spiffe-id.ts";
import type { NamedWorkload, ServiceProtocol } from "./registry-snapshot.ts";

/** A resource of type istio.workload.Address, checked. */
export type WireAddress =
  | { readonly kind: "service"; readonly service: WireService }
  | { readonly kind: "workload"; readonly workload: WireWorkload };

export interface WireService {
  readonly fqdn: string;
  readonly name: string;
  readonly namespace: string;
  readonly ports: readonly WirePort[];
  /** IP literals; none where it is headless. */
  readonly addresses: readonly string[];
}

export interface WirePort {
  readonly port: number;
  readonly targetPort: number;
  readonly protocol: ServiceProtocol;
  readonly declared: PortProtocol;
}

export interface WireWorkload {
  readonly names: NamedWorkload;
  readonly spiffeId: SpiffeId;
  /** IP literal. Null: it cannot be sent to, being unhealthy, without address or without mutual TLS. */
  readonly address: string | null;
  /** All of them, under the same condition; the first is `address`. */
  readonly addresses: readonly string[];
  /** Whether its ports take mutual TLS themselves. */
  readonly takesMutualTls: boolean;
  /** Where it takes CONNECT, or null. */
  readonly hbonePort: number | null;
  /** Which of its ports take plaintext alone; null: none. */
  readonly plaintext: PlaintextPorts | null;
  /** Service resource name → service port → where the workload takes it. */
  readonly services: ReadonlyMap<string, ReadonlyMap<number, number>>;
}

/** Container ports: all but these, or these alone. */
export interface PlaintextPorts {
  readonly allBut: boolean;
  readonly ports: ReadonlySet<number>;
}

/** Whether a port takes plaintext alone. Nothing but the control plane says so: a port is never tried. */
export function takesPlaintext(plaintext: PlaintextPorts | null, port: number): boolean {
  return plaintext !== null && plaintext.ports.has(port) !== plaintext.allBut;
}

/** Errors: `bad-input`, `spiffe-id-invalid`. `trustDomain` stands for one that was left out. */
export function readWireAddress(resource: Resource, trustDomain: string): WireAddress {
  const { service, workload } = unpackAny(ADDRESS, ADDRESS_TYPE, resource.resource);
  if (service) return { kind: "service", service: readService(service, resource.name) };
  if (workload) return { kind: "workload", workload: readWorkload(workload, resource.name, trustDomain) };
  throw new CardeaError("bad-input", `${resource.name}: neither a workload nor a service`);
}

function readService(service: Service, resourceName: string): WireService {
  const { name, namespace, hostname } = service;
  if (resourceName !== `${namespace}/${hostname}`)
    throw new CardeaError("bad-input", `${resourceName}: is the service ${namespace}/${hostname}, named otherwise`);
  const ports = service.ports.map((port) => {
    assertPort(port.servicePort, resourceName);
    const targetPort = targetPortOf(port, resourceName);
    return { port: port.servicePort, targetPort, protocol: protocolOf(port), declared: declaredBy(port) };
  });
  const addresses = service.addresses.map(({ address }) => ipText(address, resourceName));
  return { fqdn: hostname.toLowerCase(), name, namespace, ports, addresses };
}

function readWorkload(workload: Workload, resourceName: string, trustDomain: string): WireWorkload {
  const { uid, name, namespace } = workload;
  if (resourceName !== uid)
    throw new CardeaError("bad-input", `${resourceName}: is the workload ${uid}, named otherwise`);
  // As workload.proto has it: what is the mesh's own, or Kubernetes' default, may be left out.
  const account = workload.serviceAccount || "default";
  const spiffeId = spiffeIdFor(workload.trustDomain || trustDomain, namespace, account);
  // A slash in either part would make another identity than the parts say.
  if (workloadNameOf(spiffeId)?.namespace !== namespace)
    throw new CardeaError("bad-input", `${resourceName}: ${spiffeId} is no workload's identity`);
  const services = [...workload.services].map(
    ([service, { ports }]) => [service, portMapOf(ports, resourceName)] as const,
  );
  return {
    names: {
      workload: workload.workloadName || name,
      namespace,
      canonicalName: workload.canonicalName || name,
      revision: workload.canonicalRevision || "latest",
      spiffeId,
    },
    spiffeId,
    ...reachOf(workload, resourceName),
    plaintext: plaintextOf(workload),
    services: new Map(services),
  };
}

/**
 * How a workload is reached: plaintext never, and not around a waypoint that is another's. A sidecar of this mesh is its
 * workload's own waypoint, which is how it tells an HBONE port other than the usual one; its ports take mutual TLS as well.
 */
function reachOf(
  workload: Workload,
  resourceName: string,
): Pick<WireWorkload, "address" | "addresses" | "takesMutualTls" | "hbonePort"> {
  const { status, tunnelProtocol, waypoint } = workload;
  const addresses = workload.addresses.map((bytes) => ipText(bytes, resourceName));
  const [address] = addresses;
  if (address === undefined || status !== "HEALTHY") return UNREACHABLE;
  if (tunnelProtocol === "LEGACY_ISTIO_MTLS") return { address, addresses, takesMutualTls: true, hbonePort: null };
  if (tunnelProtocol !== "HBONE") return UNREACHABLE;
  if (!waypoint) return { address, addresses, takesMutualTls: false, hbonePort: HBONE_PORT };
  if (!waypoint.address || ipText(waypoint.address.address, resourceName) !== address) return UNREACHABLE;
  assertPort(waypoint.hboneMtlsPort, resourceName);
  return { address, addresses, takesMutualTls: true, hbonePort: waypoint.hboneMtlsPort };
}

/** Errors: `bad-input`: what cannot be read must not become another way to be reached. */
function plaintextOf({ extensions }: Workload): PlaintextPorts | null {
  const found = extensions.find(({ name }) => name === PLAINTEXT_PORTS_EXTENSION);
  if (found === undefined) return null;
  const { allBut, ports } = unpackAny(PLAINTEXT_PORTS, PLAINTEXT_PORTS_TYPE, found.config);
  return { allBut, ports: new Set(ports) };
}

const UNREACHABLE = Object.freeze({ address: null, addresses: [], takesMutualTls: false, hbonePort: null });
/** Where every workload that says nothing else takes HBONE. */
const HBONE_PORT = 15_008;

function portMapOf(ports: readonly Port[], resourceName: string): ReadonlyMap<number, number> {
  return new Map(ports.map((port) => [port.servicePort, targetPortOf(port, resourceName)]));
}

/** An absent target port is the service's own. */
function targetPortOf(port: Port, resourceName: string): number {
  const target = port.targetPort === 0 ? port.servicePort : port.targetPort;
  assertPort(target, resourceName);
  return target;
}

function assertPort(port: number, resourceName: string): void {
  if (port >= 1 && port <= 65_535) return;
  throw new CardeaError("bad-input", `${resourceName}: ${port} is no port`);
}

function protocolOf({ appProtocol }: Pick<Port, "appProtocol">): ServiceProtocol {
  switch (appProtocol) {
    case "HTTP11":
    case "HTTP2":
    case "GRPC":
      return "HTTP";
    case "TCP":
    case "TLS":
      return appProtocol;
    case "UNKNOWN":
      return "AUTO";
    default:
      // Of a later version of the proto: whatever it is, it is not looked into.
      return "TCP";
  }
}

function declaredBy({ appProtocol }: Port): PortProtocol {
  const protocol = protocolOf({ appProtocol });
  if (protocol !== "HTTP") return protocol;
  return appProtocol === "HTTP2" || appProtocol === "GRPC" ? appProtocol : "HTTP";
}

/** 4 bytes or 16 → an IP literal. */
function ipText(bytes: Buffer, resourceName: string): string {
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.length !== 16) throw new CardeaError("bad-input", `${resourceName}: an address of ${bytes.length} bytes`);
  return Array.from({ length: 8 }, (_, group) => bytes.readUInt16BE(group * 2).toString(16)).join(":");
}
