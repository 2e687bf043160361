import { join } from "node:path";
import type { Mesh, MeshService } from "../../config/mesh.ts";
import type { ProxyConfig } from "../../config/proxy-config.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Address } from "../../core/ports.ts";
import { type SpiffeId, spiffeIdFor, type TrustDomain } from "../../core/spiffe-id.ts";
import type { StatePaths } from "../state-dir.ts";
import { allPortsOf, controlPortsOf, layOutPorts, type ServicePortLayout } from "./port-layout.ts";
import type { PortChooser } from "./ports.ts";

/** Everything that a local mesh will be, before anything of it has been started. */
export interface LocalPlan {
  readonly control: ControlPlan;
  readonly services: readonly ServicePlan[];
}

export interface ControlPlan {
  readonly address: Address;
  readonly admin: Address;
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
  return new Set([control.grpc, control.admin, ...blocks]);
}

/** Errors: `bad-input` when a port that the mesh file asks for is taken. */
export async function planMesh(
  mesh: Mesh,
  paths: StatePaths,
  ports: PortChooser,
  portBase: number,
): Promise<LocalPlan> {
  const control = await planControl(mesh, ports, portBase);
  const services: ServicePlan[] = [];
  for (const [index, service] of mesh.services.entries()) {
    const layout = layOutPorts(portBase, index, service);
    services.push(await planService(service, layout, ports, { paths, control, ...describeMesh(mesh) }));
  }
  return { control, services: knowEachOther(control, services) };
}

export interface ServiceSurroundings {
  readonly paths: StatePaths;
  readonly control: ControlPlan;
  readonly trustDomain: TrustDomain;
  readonly certTtlSec: number;
}

export function describeMesh(mesh: Mesh): Pick<ServiceSurroundings, "trustDomain" | "certTtlSec"> {
  return { trustDomain: mesh.settings.trustDomain, certTtlSec: mesh.certTtlSec };
}

/** One service's sidecar, with every port chosen. Errors: `bad-input` when a port that was asked for is taken. */
export async function planService(
  service: MeshService,
  layout: ServicePortLayout,
  ports: PortChooser,
  around: ServiceSurroundings,
): Promise<ServicePlan> {
  const { paths, control, trustDomain, certTtlSec } = around;
  const of = `of ${service.namespace}/${service.name}`;
  const chosen = async (what: string, wanted: number): Promise<Address> => ({
    host: LOOPBACK,
    port: await ports.choose(`${what} ${of}`, wanted),
  });
  const asked = async (what: string, port: number | null, wanted: number): Promise<Address> =>
    port === null ? await chosen(what, wanted) : { host: LOOPBACK, port: await ports.claim(`${what} ${of}`, port) };

  const outbound = await asked("outbound port", service.outboundPort, layout.outbound);
  const upstreams: ProxyConfig["upstreams"][number][] = [];
  for (const [i, { name, service: host, port, localPort }] of service.upstreams.entries()) {
    const listen = await asked(`local port for ${name}`, localPort, layout.upstreams[i]!);
    upstreams.push({ name, service: host, servicePort: port, listen });
  }
  const inbound: ProxyConfig["inbound"][number][] = [];
  for (const [i, { port, protocol }] of service.ports.entries()) {
    const listen = await chosen(`inbound port for ${port}`, layout.inbound[i]!);
    const app =
      service.app.kind === "address" ? service.app.address : await chosen(`app's port for ${port}`, layout.app[i]!);
    inbound.push({ listen, port, protocol, app });
  }
  const fileName = fileNameOf(service);
  const config: ProxyConfig = {
    name: service.name,
    namespace: service.namespace,
    serviceAccount: service.serviceAccount,
    trustDomain,
    labels: service.labels,
    control: { address: control.address, spiffeId: control.spiffeId, rootFile: paths.rootFile },
    joinTokenFile: join(paths.proxies, `${fileName}.token`),
    outbound,
    upstreams,
    inbound,
    admin: await chosen("admin port", layout.admin),
    metrics: await chosen("metrics port", layout.metrics),
    readiness: await chosen("readiness port", layout.readiness),
    flowFile: join(paths.flows, `${fileName}.jsonl`),
    ownPorts: [],
    logLevel: "info",
    egress: "REGISTRY_ONLY",
    drainTimeoutMs: LIMITS.drainTimeoutMs,
    certTtlSec,
    enforcement: service.enforcement,
  };
  const principal = spiffeIdFor(trustDomain, service.namespace, service.serviceAccount);
  return { service, principal, config, appEnv: appEnvOf(config) };
}

/** `shop.web`: the name of a service's files in the state directory. Neither part can hold a dot. */
export function fileNameOf(service: { readonly name: string; readonly namespace: string }): string {
  return `${service.namespace}.${service.name}`;
}

/** The mesh's own ports on this host: what a sidecar refuses to be aimed at. */
export function ownPortsOf(
  control: Pick<ControlPlan, "address" | "admin">,
  configs: readonly ProxyConfig[],
): readonly number[] {
  return [control.address.port, control.admin.port, ...configs.flatMap(portsOfSidecar)];
}

function portsOfSidecar(config: ProxyConfig): readonly number[] {
  const listens = [config.outbound, config.admin, config.metrics, config.readiness];
  const all = [
    ...listens,
    ...config.upstreams.map((each) => each.listen),
    ...config.inbound.map((each) => each.listen),
  ];
  return all.map((address) => address.port);
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
  return {
    address: { host: LOOPBACK, port: grpc },
    admin: { host: LOOPBACK, port: await ports.choose("control plane's admin port", wanted.admin) },
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
    ...(first === undefined ? {} : { PORT: String(first.app.port) }),
  };
}
