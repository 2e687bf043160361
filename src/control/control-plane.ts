import { loadMeshApi } from "../api/load.ts";
import type { ControlConfig, FlowsConfig, MapConfig } from "../config/control-config.ts";
import { CardeaError, toCardeaError } from "../core/errors.ts";
import type { ListenTls } from "../core/grpc-tls.ts";
import type { GuardedFetch } from "../core/guarded-fetch.ts";
import { createLatest, type Latest } from "../core/latest.ts";
import { LIMITS } from "../core/limits.ts";
import { type Fault, formatFault } from "../core/located.ts";
import type { OtlpEndpoint, OtlpSender } from "../core/otlp-endpoint.ts";
import type { Address, Clock, Listening, Logger, Random } from "../core/ports.ts";
import { type SpiffeId, spiffeIdFor } from "../core/spiffe-id.ts";
import type { StateFiles } from "../core/state-files.ts";
import type { AdminRoute, HttpAdminOptions } from "../io/http-admin.ts";
import { trustBundlesOf } from "../pki/bundle.ts";
import type { MetricSource } from "../observe/metric-source.ts";
import { adminRoutes, type ClusterStatus } from "./admin.ts";
import type { WebhooksOptions } from "./admission/open-webhooks.ts";
import { createPolicyWorld } from "./admission/policy-world.ts";
import { type Attest, createAttestor } from "./ca/attest.ts";
import { type Authority, openAuthority } from "./ca/authority.ts";
import { createBundleService } from "./ca/bundle-service.ts";
import { createCertificateService } from "./ca/certificate-service.ts";
import { createJwtIssuer } from "./ca/jwt-issue.ts";
import { JwtKeys } from "./ca/jwt-keys.ts";
import { createJwtService } from "./ca/jwt-service.ts";
import { createSvidIssuer, type IssueSvid } from "./ca/issue.ts";
import { sweepJoinTokens } from "./ca/join-token.ts";
import type { PublishedRoots } from "./ca/published-roots.ts";
import { holdServingIdentity } from "./ca/serving-identity.ts";
import { createDiscovery, type Discovery } from "./distribute/delta-xds.ts";
import { wantedKeysOf, withKeys } from "./distribute/keyed-content.ts";
import type { PolicySource } from "./distribute/policy-source.ts";
import { createPlaintextTable } from "./distribute/plaintext-ports.ts";
import { openPolicyStore, type PolicyStore } from "./distribute/policy-store.ts";
import type { RegistryContext } from "./distribute/registry-content.ts";
import type { Registry } from "./distribute/registry.ts";
import type { RevisionArchive } from "./distribute/revision-archive.ts";
import { createScope } from "./distribute/scope.ts";
import { createSidecars, type Sidecars } from "./distribute/sidecars.ts";
import { flowRoutes } from "./flows/flow-routes.ts";
import { type Collector, openCollector } from "./flows/open-collector.ts";
import type { OpenFlowStore } from "./flows/open-store.ts";
import { callerOf, type GrpcServer, type GrpcServerOptions, type GrpcService, openGrpcServer } from "./grpc-server.ts";
import type { MapParts } from "./map/map-parts.ts";
import { type KeyCache, type KeyCacheOptions, openKeyCache } from "./jwks/key-cache.ts";
import { type ControlMetrics, createControlMetrics } from "./metrics.ts";
import { SpanForwarder } from "./traces/span-forwarder.ts";
import { createTraceService } from "./traces/trace-service.ts";

/** What the control plane needs of the outside. */
export interface ControlPorts {
  readonly policies: PolicySource;
  openRegistry(context: RegistryContext): Promise<Registry>;
  readonly archive: RevisionArchive;
  /** Keys of the authority and join tokens. */
  readonly state: StateFiles;
  /** Where the root is known besides the state. Left out: nowhere. */
  readonly publishedRoots?: PublishedRoots;
  /** Throws why no workload gets a certificate now. Left out: nothing stands in the way. */
  assertMayIssue?(): void;
  readonly listenTls: ListenTls;
  openAdmin(options: HttpAdminOptions): Promise<Listening>;
  /** Fetches keys of issuers. Left out: none are had. */
  readonly fetchText?: GuardedFetch;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Of this program, for the metrics. */
  readonly version: string;
  /** What the process tells of itself besides. */
  readonly processMetrics?: readonly MetricSource[];
  /** How callers prove who they are. Left out: by join tokens of the state. */
  readonly attest?: Attest;
  /** Metrics and readiness for others than this machine. Left out: they are on the admin port alone. */
  readonly telemetry?: Address;
  /**
   * Without one good policy set it issues certificates, and gives sidecars no policies; those go on with what they have,
   * and new ones let nothing through. Left out: it does not start.
   */
  readonly startsWithoutPolicies?: boolean;
  /** What is to be said of the cluster, where there is one. */
  readonly cluster?: () => ClusterStatus;
  /** Opens the store of flow records, where the configuration has a collector. Left out: there is none. */
  readonly openFlowStore?: (config: FlowsConfig) => Promise<OpenFlowStore>;
  /** Opens the way to a collector of spans outside, where the configuration names one. Left out: there is none. */
  readonly openSpanSender?: (endpoint: OtlpEndpoint) => OtlpSender;
  /** Opens the map, where the configuration has one and there are flows to show. */
  openMap?(config: MapConfig, parts: MapParts): Promise<Listening>;
  /** Opens the webhooks of a cluster, where there is one. */
  openWebhooks?(parts: WebhookParts): Promise<Listening>;
}

/** What webhooks need of the control plane. */
export type WebhookParts = Pick<WebhooksOptions, "authority" | "policies" | "observer">;

/** What `openControlPlane` reads of a configuration. */
export type PlaneConfig = Pick<ControlConfig, "name" | "mesh" | "listen" | "admin"> &
  Partial<Pick<ControlConfig, "flows" | "hubble" | "map" | "traces">>;

/** A control plane that runs. */
export interface ControlPlane {
  /** Certificates and discovery, gRPC. */
  readonly address: Address;
  readonly admin: Address;
  /** What a sidecar must expect it to prove. */
  readonly spiffeId: SpiffeId;
  /** The public root of the authority. */
  readonly rootPem: string;
  readonly authority: Authority;
  /** Why the policies as they are now are not in force; empty: they are. */
  readonly policyFaults: Latest<readonly Fault[]>;
  /** Metrics and readiness, where they have a port of their own. */
  readonly telemetry: Address | null;
  /** Webhooks of the API server, on Kubernetes. */
  readonly webhooks: Address | null;
  /** Where sidecars send their flow records, and who answers questions about them; null: no collector was asked for. */
  readonly collector: Pick<Collector, "address" | "store"> | null;
  /** Hubble's API about them; null: it was not asked for. */
  readonly hubble: Address | null;
  /** Where a browser finds the map; null: nowhere. */
  readonly map: Address | null;
  /** Ends streams and ports; calls that are under way may finish for `graceMs`. Sidecars go on with what they have. */
  close(graceMs: number): Promise<void>;
}

/** The service account of the control plane, in the root namespace. */
const CONTROL_ACCOUNT = "cardea-control";

/**
 * Opens the authority, the policies and the registry, then the ports. Errors: `bad-input` when there is no good policy
 * set, neither in the files nor from an earlier run, or when the state is damaged; `unreachable` when a port is taken.
 * Nothing stays open after an error.
 */
export async function openControlPlane(config: PlaneConfig, ports: ControlPorts): Promise<ControlPlane> {
  const closing: Closing = [];
  const close = async (graceMs: number): Promise<void> => {
    for (const closeOne of closing.splice(0).toReversed()) await closeOne(graceMs);
  };
  try {
    return { ...(await openParts(config, ports, closing)), close };
  } catch (thrown) {
    await close(0);
    throw thrown;
  }
}

type Closing = ((graceMs: number) => Promise<void> | void)[];

async function openParts(
  config: PlaneConfig,
  ports: ControlPorts,
  closing: Closing,
): Promise<Omit<ControlPlane, "close">> {
  const { clock, logger } = ports;
  const { trustDomain } = config.mesh;
  const api = loadMeshApi();
  const policies = await openPolicyStore({ ...ports, source: ports.policies, settings: config.mesh, api });
  closing.push(() => policies.close());
  if (ports.startsWithoutPolicies !== true) assertSomePolicies(policies);
  const plaintext = createPlaintextTable(policies.content, config.mesh.rootNamespace);
  const registry = await ports.openRegistry({ api, trustDomain, plaintext });
  closing.push(() => registry.close());
  const sidecars = createSidecars(clock);
  const metrics = createControlMetrics(ports.version, ports.processMetrics);
  const identity = await openIdentity(config, ports, { sidecars, metrics, closing });
  const keys = followKeys(policies, { ...ports, observer: metrics.keys });
  closing.push(() => keys.close());
  const content = withKeys(policies.content, keys.fetched, api);
  const viewFor = createScope({ registry: registry.content, policies: content, settings: config.mesh, api });
  const discovery = createDiscovery({
    callerOf,
    trustDomain,
    viewFor,
    sidecars,
    observer: metrics.discovery,
    clock,
    logger,
  });
  closing.push(
    content.subscribe(() => discovery.push()),
    followRegistry(registry, discovery),
  );
  const services = [
    { definition: api.certificates, handlers: identity.certificates },
    { definition: api.svids, handlers: identity.tokens },
    { definition: api.bundles, handlers: identity.keys },
    { definition: api.discovery, handlers: discovery.handlers },
    ...takeSpans(config, ports, { metrics, closing }),
  ];
  const server = await openGrpcServer({ ...ports, ...identity, listen: config.listen, services });
  closing.push(
    (graceMs) => server.close(graceMs),
    () => discovery.close(),
  );
  const collector = await openFlows(config, ports, { identity, metrics, closing });
  const hubble = await openHubbleOver(collector, config, ports, { identity, closing });
  const { notAfterMs } = identity;
  const cluster = ports.cluster ?? null;
  const source = ports.policies.path;
  const status = adminRoutes({ config, source, policies, registry, sidecars, metrics, notAfterMs, clock, cluster });
  const routes = collector === null ? status : [...status, ...flowRoutes(collector.store)];
  const admin = await ports.openAdmin({ at: config.admin, routes, hosts: "loopback" });
  closing.push(() => admin.close());
  const telemetry = await openTelemetry(status, ports);
  if (telemetry !== null) closing.push(() => telemetry.close());
  const shown = { policies: policies.content, registry: registry.content, api, clock, logger };
  const rest = { config, policyFaults: policies.faults, sidecars };
  const map = await openMap(config, ports, collector && { ...shown, ...rest, flows: collector.store });
  if (map !== null) closing.push(() => map.close());
  const { spiffeId, rootPem, authority } = identity;
  const world = createPolicyWorld(config.mesh, policies.content, registry.content, clock);
  const webhooks = await ports.openWebhooks?.({ authority, policies: world, observer: metrics.admission });
  if (webhooks !== undefined) closing.push(() => webhooks.close());
  const addresses = {
    address: server.address,
    admin: admin.address,
    telemetry: telemetry?.address ?? null,
    webhooks: webhooks?.address ?? null,
    collector,
    hubble: hubble?.address ?? null,
    map: map?.address ?? null,
  };
  return { ...addresses, spiffeId, rootPem, authority, policyFaults: policies.faults };
}

/** Fetches what the policies in force name, from now on. */
function followKeys(
  policies: PolicyStore,
  ports: Pick<ControlPorts, "fetchText"> & Omit<KeyCacheOptions, "fetch">,
): KeyCache {
  const fetch = ports.fetchText ?? (() => Promise.reject(new CardeaError("unreachable", "nothing is fetched here")));
  const keys = openKeyCache({ ...ports, fetch });
  const want = (): void => keys.want(wantedKeysOf(policies.content.get()?.authentication ?? []));
  policies.content.subscribe(want);
  want();
  return keys;
}

/** Tells the streams of each change what it is about, as far as the registry knows. */
function followRegistry({ content }: Registry, discovery: Discovery): () => void {
  let { version } = content.get();
  return content.subscribe((now) => {
    const before = version;
    ({ version } = now);
    discovery.pushRegistry(now.changedSince?.(before) ?? null);
  });
}

/** Takes spans of sidecars, where there is somebody to pass them on to. */
function takeSpans(
  { traces }: PlaneConfig,
  ports: ControlPorts,
  { metrics, closing }: Pick<FlowsParts, "metrics" | "closing">,
): readonly GrpcService[] {
  const sender = traces == null ? undefined : ports.openSpanSender?.(traces);
  if (sender === undefined) return [];
  const observer = metrics.spans;
  const forwarder = new SpanForwarder({ ...ports, sender, observer });
  closing.push(() => forwarder.close());
  return [createTraceService({ forwarder, callerOf, observer, logger: ports.logger })];
}

interface FlowsParts {
  readonly identity: Pick<GrpcServerOptions, "material" | "bundles">;
  readonly metrics: ControlMetrics;
  readonly closing: Closing;
}

/** The collector of flow records, where the configuration has one. */
async function openFlows({ flows }: PlaneConfig, ports: ControlPorts, parts: FlowsParts): Promise<Collector | null> {
  const { openFlowStore, listenTls, clock, logger } = ports;
  if (flows == null || openFlowStore === undefined) return null;
  const { material, bundles } = parts.identity;
  const about = { listen: flows.listen, listenTls, material, bundles, clock, logger };
  const collector = await openCollector({
    ...about,
    openStore: () => openFlowStore(flows),
    observer: parts.metrics.flows,
  });
  parts.closing.push((graceMs) => collector.close(graceMs));
  return collector;
}

/** Hubble's API over the collector's store, where the configuration has it. Errors: `bad-input` without a collector. */
async function openHubbleOver(
  collector: Collector | null,
  { flows, hubble, name, mesh }: PlaneConfig,
  ports: ControlPorts,
  { identity, closing }: { identity: HubbleIdentity; closing: Closing },
): Promise<GrpcServer | null> {
  if (hubble == null) return null;
  if (collector === null || flows == null)
    throw new CardeaError("bad-input", "hubble: there are no flows to tell of without flows");
  const { openHubble } = await import("./hubble/open-hubble.ts");
  const about = { config: hubble, queries: collector.store, name, mesh, storeBytesMax: flows.bytesMax };
  const server = await openHubble({ ...ports, ...identity, ...about });
  closing.push((graceMs) => server.close(graceMs));
  return server;
}

type HubbleIdentity = Pick<GrpcServerOptions, "bundles"> & { readonly authority: Authority };

async function openMap({ map }: PlaneConfig, ports: ControlPorts, parts: MapParts | null): Promise<Listening | null> {
  if (map == null || parts === null) return null;
  return (await ports.openMap?.(map, parts)) ?? null;
}

/** What others than this machine may ask for: not the status, which names everybody. */
async function openTelemetry(routes: readonly AdminRoute[], ports: ControlPorts): Promise<Listening | null> {
  if (ports.telemetry === undefined) return null;
  const open = routes.filter(({ path }) => path !== "/status");
  return ports.openAdmin({ at: ports.telemetry, routes: open, hosts: "any" });
}

/** The authority with its service, and the certificate that the control plane itself shows. */
async function openIdentity(
  config: PlaneConfig,
  ports: ControlPorts,
  parts: { sidecars: Sidecars; metrics: ControlMetrics; closing: Closing },
) {
  const { clock, random, logger, state: files } = ports;
  const { trustDomain, rootNamespace } = config.mesh;
  const published = ports.publishedRoots === undefined ? {} : { published: ports.publishedRoots };
  const authority = await openAuthority({ files, trustDomain, clock, random, logger, ...published });
  const issue = noting(createSvidIssuer({ authority, clock, random }), parts.sidecars);
  const spiffeId = spiffeIdFor(trustDomain, rootNamespace, CONTROL_ACCOUNT);
  const serving = await holdServingIdentity({ spiffeId, issue, clock, logger });
  parts.closing.push(() => serving.close());
  const attest = ports.attest ?? joinByTokens(ports, config, parts.closing);
  const keys = new JwtKeys({ files, clock, logger });
  const issueJwt = createJwtIssuer({ keys, clock });
  return {
    authority,
    spiffeId,
    rootPem: authority.bundle.pem,
    material: serving.material,
    bundles: createLatest(trustBundlesOf(authority.bundle)),
    notAfterMs: () => ({ ...authority.notAfterMs(), serving: serving.notAfterMs() }),
    tokens: createJwtService({
      attest,
      async issue(request) {
        ports.assertMayIssue?.();
        return issueJwt(request);
      },
      callerOf,
      logger,
    }),
    keys: createBundleService({ bundle: authority.bundle, keys, logger }),
    certificates: createCertificateService({
      attest,
      async issue(request) {
        ports.assertMayIssue?.();
        return issue(request);
      },
      callerOf,
      observer: parts.metrics.issuance,
      logger,
    }),
  };
}

function joinByTokens(ports: ControlPorts, { mesh }: PlaneConfig, closing: Closing): Attest {
  const tokens = sweepTokens(ports);
  closing.push(() => tokens.close());
  return createAttestor({ files: ports.state, clock: ports.clock, trustDomain: mesh.trustDomain });
}

/** Removes join tokens that nobody used in time, now and as long as it is open. */
function sweepTokens({ state, clock, logger }: ControlPorts): { close(): void } {
  const sweep = (): void => {
    timer = clock.setTimer(LIMITS.joinTokenTtlMs, sweep);
    sweepJoinTokens(state, clock).catch((thrown: unknown) => {
      logger.log("warn", "tokens-not-swept", { error: toCardeaError(thrown).message });
    });
  };
  let timer = clock.setTimer(0, sweep);
  return { close: () => timer.cancel() };
}

/** A mesh that never had policies would refuse everything without a word of why. Errors: `bad-input`. */
function assertSomePolicies(policies: PolicyStore): void {
  if (policies.content.get() !== null) return;
  throw new CardeaError("bad-input", policies.faults.get().map(formatFault).join("\n"));
}

function noting(issue: IssueSvid, sidecars: Sidecars): IssueSvid {
  return async (request) => {
    const issued = await issue(request);
    sidecars.certified(request.spiffeId, issued.notAfterMs);
    return issued;
  };
}
