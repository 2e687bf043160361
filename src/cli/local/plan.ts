import { join } from "node:path";
import type { Mesh, MeshService } from "../../config/mesh.ts";
import type { ProxyConfig } from "../../config/proxy-config.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Address } from "../../core/ports.ts";
import { carriesRequests } from "../../core/port-protocol.ts";
import { type SpiffeId, spiffeIdFor, type TrustDomain } from "../../core/spiffe-id.ts";
import { fitsUnixSocket, UNIX_PATH_BYTES_MAX } from "../../core/unix-path.ts";
import type { StatePaths } from "../state-dir.ts";
import { allPortsOf, controlPortsOf, layOutPorts, type ServicePortLayout } from "./port-layout.ts";
import type { PortChooser } from "./ports.ts";

/** Everything that a local mesh will be, before anything of it has been started. */
export interface LocalPlan {
  readonly portBase: number;
  readonly control: ControlPlan;
  readonly services: readonly ServicePlan[];
}

export interface ControlPlan {
  readonly address: Address;
  readonly admin: Address;
  /** Flow records of the sidecars. */
  readonly flows: Address | null;
  /** Hubble's API about them. */
  readonly hubble: Address | null;
  /** For a browser. */
  readonly map: Address | null;
  readonly spiffeId: SpiffeId;
}

export interface ServicePlan {
  readonly service: MeshService;
  readonly principal: SpiffeId;
  readonly config: ProxyConfig;
  /** What the app is told, on top of our own surroundings. */
  readonly appEnv: Readonly<Record<string, string>>;
}

const LOOPBACK = "127.0.0.1";

/** The defaults of everybody, so that stepping around a taken port takes nobody else's. */
export function reservedPortsOf(mesh: Mesh, portBase: number): ReadonlySet<number> {
  const control = controlPortsOf(portBase);
  const blocks = mesh.services.flatMap((service, index) => allPortsOf(layOutPorts(portBase, index, service)));
  return new Set([...Object.values(control), ...blocks]);
}

/** Errors: `bad-input` when a port that the mesh file asks for is taken. */
export async function planMesh(
  mesh: Mesh,
  paths: StatePaths,
  ports: PortChooser,
  portBase: number,
): Promise<LocalPlan> {
  const control = await planControl(mesh, ports, portBase);
  const { trustDomain } = mesh.settings;
  const { certTtlSec, protocolDetectionTimeoutMs, flowSampleOneIn } = mesh;
  const tracing = sidecarTracingOf(mesh);
  const around = { paths, control, trustDomain, certTtlSec, protocolDetectionTimeoutMs, tracing, flowSampleOneIn };
  const services: ServicePlan[] = [];
  for (const [index, service] of mesh.services.entries()) {
    const layout = layOutPorts(portBase, index, service);
    services.push(await planService(service, layout, ports, around));
  }
  return { portBase, control, services: knowEachOther(control, services) };
}

/** What a sidecar is told of the mesh's tracing: where spans go in the end is the control plane's matter. */
export function sidecarTracingOf({ tracing }: Mesh): ProxyConfig["tracing"] {
  if (tracing === null) return null;
  const { samplingPercentage, requestsPerSecond } = tracing;
  return { samplingPercentage, requestsPerSecond };
}

export interface ServiceSurroundings {
  readonly paths: StatePaths;
  readonly control: Omit<ControlPlan, "admin">;
  readonly trustDomain: TrustDomain;
  readonly certTtlSec: number;
  readonly protocolDetectionTimeoutMs: number;
  readonly tracing: ProxyConfig["tracing"];
  readonly flowSampleOneIn: number;
}

/** One service's sidecar, with every port chosen. Errors: `bad-input` when a port that was asked for is taken. */
export async function planService(
  service: MeshService,
  layout: ServicePortLayout,
  ports: PortChooser,
  around: ServiceSurroundings,
): Promise<ServicePlan> {
  const { paths, control, trustDomain, certTtlSec, protocolDetectionTimeoutMs, tracing, flowSampleOneIn } = around;
  const { name, namespace, serviceAccount, labels, enforcement } = service;
  const fileName = fileNameOf(service);
  const config: ProxyConfig = {
    name,
    namespace,
    serviceAccount,
    trustDomain,
    labels,
    control: { address: control.address, spiffeId: control.spiffeId, rootFile: paths.rootFile },
    joinTokenFile: join(paths.proxies, `${fileName}.token`),
    ...(await chooseAddresses(service, layout, ports)),
    flowFile: join(paths.flows, `${fileName}.jsonl`),
    flowCollector: control.flows && {
      address: control.flows,
      spillFile: join(paths.flows, `${fileName}.spill`),
      sampleOneIn: flowSampleOneIn,
    },
    tracing,
    ownPorts: [],
    logLevel: "info",
    egress: "REGISTRY_ONLY",
    drainTimeoutMs: LIMITS.drainTimeoutMs,
    protocolDetectionTimeoutMs,
    certTtlSec,
    enforcement,
    redirect: null,
    drainDelayMs: 0,
    workloadSocket: workloadSocketOf(paths, fileName),
  };
  return { service, principal: spiffeIdFor(trustDomain, namespace, serviceAccount), config, appEnv: appEnvOf(config) };
}

type ChosenAddresses = Pick<
  ProxyConfig,
  "outbound" | "upstreams" | "inbound" | "hbone" | "admin" | "metrics" | "readiness"
>;

async function chooseAddresses(
  service: MeshService,
  layout: ServicePortLayout,
  ports: PortChooser,
): Promise<ChosenAddresses> {
  /** The port that the mesh file asks for, else one of ours. */
  async function pick(what: string, asked: number | null, wanted: number): Promise<Address> {
    const purpose = `${what} of ${service.namespace}/${service.name}`;
    return {
      host: LOOPBACK,
      port: await (asked === null ? ports.choose(purpose, wanted) : ports.claim(purpose, asked)),
    };
  }
  const outbound = await pick("outbound port", service.outboundPort, layout.outbound);
  const upstreams: ProxyConfig["upstreams"][number][] = [];
  for (const [i, { name, service: host, port, localPort }] of service.upstreams.entries()) {
    const listen = await pick(`local port for ${name}`, localPort, layout.upstreams[i]!);
    upstreams.push({ name, service: host, servicePort: port, listen });
  }
  const inbound: ProxyConfig["inbound"][number][] = [];
  for (const [i, { port, protocol }] of service.ports.entries()) {
    const listen = await pick(`inbound port for ${port}`, null, layout.inbound[i]!);
    const app =
      service.app?.kind === "address"
        ? service.app.address
        : await pick(`app's port for ${port}`, null, layout.app[i]!);
    inbound.push({ listen, port, protocol, app });
  }
  // Behind it is nothing but opaque ports.
  const hasOpaque = service.ports.some(({ protocol }) => !carriesRequests(protocol));
  const hbone = hasOpaque ? await pick("HBONE port", null, layout.hbone) : null;
  const admin = await pick("admin port", null, layout.admin);
  const metrics = await pick("metrics port", null, layout.metrics);
  const readiness = await pick("readiness port", null, layout.readiness);
  return { outbound, upstreams, inbound, hbone, admin, metrics, readiness };
}

/** Where the app gets its identity; null where the path is longer than a socket's may be. */
function workloadSocketOf(paths: StatePaths, fileName: string): ProxyConfig["workloadSocket"] {
  const file = join(paths.sockets, `${fileName}.sock`);
  return fitsUnixSocket(file) ? { file, access: "owner" } : null;
}

/** Says which services have no identity socket, and why; null where all have one. */
export function describeMissingSockets(services: readonly ServicePlan[], paths: StatePaths): string | null {
  const without = services.filter(({ config }) => config.workloadSocket === null);
  if (without.length === 0) return null;
  const names = without.map(({ service }) => `${service.namespace}/${service.name}`).join(", ");
  return `no identity socket for ${names}: below ${paths.sockets} its path is longer than a socket's may be (${UNIX_PATH_BYTES_MAX} bytes); --state takes a shorter directory`;
}

/** `shop.web`: the name of a service's files in the state directory. Neither part can hold a dot. */
export function fileNameOf(service: { readonly name: string; readonly namespace: string }): string {
  return `${service.namespace}.${service.name}`;
}

/** Where one sidecar listens. */
interface SidecarAddresses extends Omit<ChosenAddresses, "upstreams" | "inbound"> {
  readonly upstreams: readonly { readonly listen: Address }[];
  readonly inbound: readonly { readonly listen: Address }[];
}

/** The mesh's own ports on this host: what a sidecar refuses to be aimed at. */
export function ownPortsOf(
  control: Pick<ControlPlan, "address" | "admin" | "flows" | "hubble" | "map">,
  sidecars: readonly SidecarAddresses[],
): readonly number[] {
  const some = [control.flows, control.hubble, control.map].flatMap((address) =>
    address === null ? [] : [address.port],
  );
  return [control.address.port, control.admin.port, ...some, ...sidecars.flatMap(portsOfSidecar)];
}

function portsOfSidecar(sidecar: SidecarAddresses): readonly number[] {
  const { outbound, admin, metrics, readiness, upstreams, inbound, hbone } = sidecar;
  const listens = [...upstreams, ...inbound].map((each) => each.listen);
  return [outbound, admin, metrics, readiness, ...listens, ...(hbone === null ? [] : [hbone])].map(
    (address) => address.port,
  );
}

function knowEachOther(control: ControlPlan, services: readonly ServicePlan[]): readonly ServicePlan[] {
  const ownPorts = ownPortsOf(
    control,
    services.map((each) => each.config),
  );
  return services.map((each) => ({ ...each, config: { ...each.config, ownPorts } }));
}

async function planControl(mesh: Mesh, ports: PortChooser, portBase: number): Promise<ControlPlan> {
  const wanted = controlPortsOf(portBase);
  const { trustDomain, rootNamespace } = mesh.settings;
  const grpc =
    mesh.controlPort === null
      ? await ports.choose("control plane's port", wanted.grpc)
      : await ports.claim("control plane's port", mesh.controlPort);
  const choose = async (what: string, port: number) => ({ host: LOOPBACK, port: await ports.choose(what, port) });
  return {
    address: { host: LOOPBACK, port: grpc },
    admin: await choose("control plane's admin port", wanted.admin),
    flows: mesh.flowStore ? await choose("control plane's port for flow records", wanted.flows) : null,
    hubble: mesh.flowStore ? await choose("port of Hubble's API", wanted.hubble) : null,
    // It shows flows that were stored.
    map: mesh.flowStore ? await choose("map", wanted.map) : null,
    spiffeId: spiffeIdFor(trustDomain, rootNamespace, "cardea-control"),
  };
}

function appEnvOf(config: ProxyConfig): Readonly<Record<string, string>> {
  const proxy = `http://${config.outbound.host}:${config.outbound.port}`;
  const upstreams = config.upstreams.map(({ name, listen }) => [
    `CARDEA_UPSTREAM_${name.toUpperCase().replaceAll("-", "_")}`,
    `${listen.host}:${listen.port}`,
  ]);
  const [first] = config.inbound;
  const ports = config.inbound.map(({ port, app }) => [`PORT_${port}`, String(app.port)]);
  return {
    http_proxy: proxy,
    HTTP_PROXY: proxy,
    ...Object.fromEntries([...upstreams, ...ports]),
    ...(config.workloadSocket === null ? {} : { SPIFFE_ENDPOINT_SOCKET: `unix://${config.workloadSocket.file}` }),
    ...(first === undefined ? {} : { PORT: String(first.app.port) }),
  };
}
