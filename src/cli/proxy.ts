import type { PodConfig } from "../config/pod-config.ts";
import { POD_FILES, POD_VARIABLES } from "../config/pod-variables.ts";
import { parseProxyConfig, type ProxyConfig } from "../config/proxy-config.ts";
import type { AppProbe } from "../core/app-probe.ts";
import { CardeaError } from "../core/errors.ts";
import { createLatest } from "../core/latest.ts";
import type { Listening, Logger, Network, OriginalDestination } from "../core/ports.ts";
import { spiffeIdFor } from "../core/spiffe-id.ts";
import { systemClock } from "../io/clock.ts";
import { keepCompiled } from "../io/compile-cache.ts";
import { readText, readTextIfPresent } from "../io/files.ts";
import { type AdminRoute, openHttpAdmin } from "../io/http-admin.ts";
import { openLineFile } from "../io/line-file.ts";
import { createSystemRandom } from "../io/random.ts";
import { createSocketNetwork } from "../io/sockets.ts";
import { encodeFlowLine } from "../observe/flow-line.ts";
import { createLogger } from "../observe/log.ts";
import { createDataPathMetrics } from "../observe/metrics.ts";
import { parseTrustBundle, trustBundlesOf } from "../pki/bundle.ts";
import { createControlCalls } from "../proxy/calls/control-call.ts";
import { openDiscovery } from "../proxy/discovery/discovery.ts";
import type { FlowExporter } from "../proxy/flow-export/exporter.ts";
import { createCertificateClient } from "../proxy/identity/certificate-client.ts";
import { holdIdentity, type IdentityHolder, type IdentityHolderOptions } from "../proxy/identity/renew.ts";
import { openSidecar } from "../proxy/sidecar.ts";
import type { Command, ParsedArgs, Terminal } from "./command.ts";
import { adminRoutes, metricsRoutes, readinessRoutes, type SidecarParts } from "./sidecar-admin.ts";
import { readVersion } from "./version.ts";
import type { SidecarFlowsOptions } from "./sidecar-flows.ts";
import type { SidecarTracing, SidecarTracingOptions } from "./sidecar-tracing.ts";
import type { WorkloadSocket } from "./workload-socket.ts";

/**
 * One sidecar. This file and what it imports is all that a sidecar loads: no YAML, no control plane, no other command
 * (test/e2e/sidecar-modules.test.ts lists it). What a pod alone has, probes and redirection, comes when it is there.
 */
export const command: Command = {
  name: "proxy",
  summary: "one sidecar: the data path of one workload; SIGUSR2 renews its certificate now",
  usage: "cardea proxy [--config FILE] [--public-reads]",
  example: "cardea proxy --config ~/.local/state/cardea/local/proxies/shop.web.json",
  positional: { min: 0, max: 0 },
  flags: [
    {
      name: "config",
      value: "FILE",
      summary: "bootstrap configuration (JSON); without it, what injection set in the pod: CARDEA_… and mounted files",
    },
    { name: "public-reads", value: null, summary: "read sockets by the runtime's public API alone, at more cost" },
  ],
  run: runProxy,
};

async function runProxy(args: ParsedArgs, terminal: Terminal): Promise<0> {
  const { proxy: config, probes } = await readConfig(args, terminal);
  const logger = createLogger({
    write: (line) => terminal.stderr(line),
    level: config.logLevel,
    process: `proxy ${config.namespace}/${config.name}`,
    wallMs: () => systemClock.wallMs(),
  });
  const ended = new Promise<void>((resolve) => terminal.onSignal(() => resolve()));
  const network = createSocketNetwork({ sharesReads: !args.isSet("public-reads") });
  const running = await openProxy({ config, probes, network, logger });
  // For who rotates an authority and does not want to wait for half a lifetime.
  terminal.onUserSignal(() => running.renew());
  await ended;
  if (config.drainDelayMs > 0) await waitFor(config.drainDelayMs);
  await running.drain();
  return 0;
}

/** A file says it all; without one this is a pod. */
async function readConfig(args: ParsedArgs, terminal: Terminal): Promise<PodConfig> {
  const file = args.flag("config");
  if (file !== undefined) return { proxy: parseProxyConfig(await readText(file), file), probes: [] };
  if (terminal.env[POD_VARIABLES.podName.name] === undefined)
    throw new CardeaError("bad-input", "--config FILE is missing, and this is no injected pod");
  const { parsePodConfig } = await import("../config/pod-config.ts");
  return parsePodConfig(terminal.env, await readText(POD_FILES.labels));
}

function waitFor(delayMs: number): Promise<void> {
  return new Promise((resolve) => void systemClock.setTimer(delayMs, resolve));
}

interface RunningProxy {
  /** Asks for a new certificate now. */
  renew(): void;
  /** Lets what is under way finish, then ends everything; the last flow records are on the disk then. */
  drain(): Promise<void>;
}

interface ProxyParts extends Omit<PodConfig, "proxy"> {
  readonly config: ProxyConfig;
  readonly network: Network;
  readonly logger: Logger;
}

/** Wires one sidecar. Errors: `bad-input`, `unreachable`; nothing stays open then. */
async function openProxy({ config, probes, network, logger }: ProxyParts): Promise<RunningProxy> {
  const clock = systemClock;
  const random = createSystemRandom();
  const lines = openLineFile({
    path: config.flowFile,
    onTrouble: (message) => logger.log("error", "flow-file", { message }),
  });
  const asked = await identityOptions(config, network, logger);
  const holder = holdIdentity(asked);
  const discovery = openDiscovery({
    control: config.control,
    identity: holder.identity,
    nodeId: config.name,
    workload: { namespace: config.namespace, labels: config.labels },
    network,
    clock,
    random,
    logger,
  });
  const metrics = createDataPathMetrics();
  const version = await readVersion();
  const { bundles } = asked;
  const around = { config, identity: holder.identity, bundles, network, clock, random, logger, version };
  const flows = await openFlows(around);
  const traces = await openTraces({ ...around, policies: discovery.policies });
  const redirected = config.redirect === null ? {} : { originalDestination: await openKernelsMemory() };
  const tapPoint = { tap: null };
  const sidecar = await openSidecar(config, {
    network,
    clock,
    random,
    identity: holder.identity,
    registry: discovery.registry,
    policy: discovery.policies,
    traffic: discovery.traffic,
    flows: {
      record: (flow) => {
        const { bytes, length } = encodeFlowLine(flow);
        lines.writeBytes(bytes, length);
        flows?.record(flow);
      },
    },
    metrics,
    logger,
    ...redirected,
    onUse: (service) => discovery.use(service),
    tracing: traces?.tracing ?? null,
    tapPoint,
  });
  logger.log("info", "listening", { address: `${config.outbound.host}:${config.outbound.port}` });
  const workloadSocket = await openAppIdentity(config, { asked, holder, network });
  // Only now: an app that is quick to start finds a port that says "not yet", and none that refuses it.
  holder.begin();
  const spans = traces?.exporter ?? null;
  const told = { config, sidecar, discovery, identity: holder.identity, metrics, lines, flows, spans };
  const parts = { ...told, clock, version, tapPoint };
  const servers = await openServers(parts, await probeRoutes(probes, config));
  keepCompiled();
  return {
    renew() {
      holder.renew();
      workloadSocket?.renew();
    },
    async drain() {
      await sidecar.drain();
      await workloadSocket?.close();
      await Promise.all([flows?.close(), spans?.close()]);
      discovery.close();
      holder.close();
      await Promise.all(servers.map((server) => server.close()));
      await lines.close();
    },
  };
}

/** Flow records go to the collector besides, where there is one. */
async function openFlows(options: SidecarFlowsOptions): Promise<FlowExporter | null> {
  const { flowCollector } = options.config;
  if (flowCollector === null) return null;
  const { openSidecarFlows } = await import("./sidecar-flows.ts");
  return openSidecarFlows(flowCollector, options);
}

/** Spans, where the mesh has tracing. */
async function openTraces(options: SidecarTracingOptions): Promise<SidecarTracing | null> {
  const { tracing } = options.config;
  if (tracing === null) return null;
  const { openSidecarTracing } = await import("./sidecar-tracing.ts");
  return openSidecarTracing(tracing, options);
}

/** How the workload's certificates are asked for, the sidecar's and the app's. */
async function identityOptions(config: ProxyConfig, network: Network, logger: Logger): Promise<IdentityHolderOptions> {
  const { control, trustDomain, namespace, serviceAccount, joinTokenFile, certTtlSec } = config;
  const bundles = trustBundlesOf(parseTrustBundle(trustDomain, await readText(control.rootFile)));
  const requestCertificate = createCertificateClient({
    control,
    bundles,
    network,
    clock: systemClock,
    readJoinToken: async () => (joinTokenFile === null ? null : readTextIfPresent(joinTokenFile)),
  });
  return {
    spiffeId: spiffeIdFor(trustDomain, namespace, serviceAccount),
    bundles,
    ttlSec: certTtlSec,
    requestCertificate,
    clock: systemClock,
    random: createSystemRandom(),
    logger,
  };
}

interface OwnIdentity {
  readonly asked: IdentityHolderOptions;
  readonly holder: IdentityHolder;
  readonly network: Network;
}

async function openAppIdentity(
  { workloadSocket, control }: ProxyConfig,
  { asked, holder, network }: OwnIdentity,
): Promise<WorkloadSocket | null> {
  if (workloadSocket === null) return null;
  const { openWorkloadSocket } = await import("./workload-socket.ts");
  const callControl = createControlCalls({ control, bundles: asked.bundles, network, clock: systemClock });
  const bundles = createLatest(asked.bundles);
  return openWorkloadSocket(workloadSocket, { ...asked, bundles, sidecar: holder.identity, callControl });
}

/** Of where redirected connections were meant to go. */
async function openKernelsMemory(): Promise<OriginalDestination> {
  const { openOriginalDestination } = await import("../io/original-dst.ts");
  return openOriginalDestination();
}

async function probeRoutes(probes: readonly AppProbe[], { redirect }: ProxyConfig): Promise<readonly AdminRoute[]> {
  if (probes.length === 0) return [];
  const [{ appHealthRoutes }, { runAppProbe }] = await Promise.all([
    import("./app-health.ts"),
    import("../io/app-probe.ts"),
  ]);
  const host = redirect?.podIps[0] ?? "127.0.0.1";
  // Where the redirect lets the sidecar's own connections to its app come from.
  const local = host.includes(":") ? "::6" : "127.0.0.6";
  const place = { host, localHost: redirect === null ? null : local };
  return appHealthRoutes(probes, (probe) => runAppProbe(probe, place));
}

function openServers(parts: SidecarParts, probes: readonly AdminRoute[]): Promise<readonly Listening[]> {
  const { admin, metrics, readiness } = parts.config;
  return Promise.all([
    openHttpAdmin({ at: admin, hosts: "loopback", routes: adminRoutes(parts) }),
    openHttpAdmin({ at: metrics, hosts: "any", routes: [...metricsRoutes(parts), ...probes] }),
    openHttpAdmin({ at: readiness, hosts: "any", routes: readinessRoutes(parts) }),
  ]);
}
