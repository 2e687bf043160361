import type { ProxyConfig, RedirectConfig } from "../config/proxy-config.ts";
import { CardeaError } from "../core/errors.ts";
import type { Latest } from "../core/latest.ts";
import { LIMITS } from "../core/limits.ts";
import type {
  Address,
  Clock,
  Connection,
  Listening,
  Logger,
  Network,
  OriginalDestination,
  Random,
} from "../core/ports.ts";
import type { FlowSink } from "../observe/flow.ts";
import type { DataPathMetrics } from "../observe/metrics.ts";
import type { TrafficSet } from "../traffic/traffic-set.ts";
import { AcceptGate } from "./accept.ts";
import { capturedDestination } from "./captured.ts";
import { Connector } from "./connect.ts";
import type { PolicySet } from "./discovery/policy-sinks.ts";
import type { RegistrySnapshot, Service } from "./discovery/registry-snapshot.ts";
import { drainConnections } from "./drain.ts";
import { EgressRouter } from "./egress.ts";
import { Forward } from "./forward.ts";
import { Http1ClientConnection } from "./http1/client-connection.ts";
import { Http2ClientConnection } from "./http2/client-connection.ts";
import { followIdentity } from "./identify.ts";
import { HbonePort } from "./hbone-port.ts";
import type { Identity } from "./identity/identity.ts";
import { InboundPort, type InboundScope } from "./inbound.ts";
import { inboundPlace } from "./inbound-place.ts";
import { withAge } from "./lifetime.ts";
import { LiveConnections } from "./live.ts";
import { OutboundPort, type OutboundScope } from "./outbound.ts";
import { PodPlaces } from "./pod-places.ts";
import { Pools } from "./pool.ts";
import { Recorder, type TapPoint } from "./record.ts";
import type { ServiceRequest } from "./service-call.ts";
import type { Tracing } from "./tracing.ts";
import { createTraceIds } from "../wire/trace-context.ts";
import { Backends } from "./traffic/backends.ts";
import { reportBackends } from "./traffic/backend-report.ts";
import { KeptBodies } from "./traffic/kept-body.ts";
import type { Member } from "./traffic/member.ts";
import { OnceMore } from "./traffic/once-more.ts";

/** What the data path needs to know of its configuration. */
export type SidecarConfig = Pick<
  ProxyConfig,
  | "name"
  | "namespace"
  | "labels"
  | "outbound"
  | "upstreams"
  | "inbound"
  | "hbone"
  | "ownPorts"
  | "drainTimeoutMs"
  | "enforcement"
> &
  Partial<Pick<ProxyConfig, "protocolDetectionTimeoutMs" | "redirect">>;

/** What the data path is handed: it reaches the world, and learns of it, through these alone. */
export interface SidecarPorts {
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  /** Null: no certificate yet. */
  readonly identity: Latest<Identity | null>;
  readonly registry: Latest<RegistrySnapshot>;
  /** Null: no policy yet; nothing is let through. */
  readonly policy: Latest<PolicySet | null>;
  /** How services are to be reached; without rules, the defaults hold. */
  readonly traffic: Latest<TrafficSet>;
  readonly flows: FlowSink;
  readonly metrics: DataPathMetrics;
  readonly logger: Logger;
  /** Where redirected connections were meant to go; left out where nothing is redirected. */
  readonly originalDestination?: OriginalDestination;
  /** Told of each service that requests go to, at the first of them. Left out: nobody wants to know. */
  onUse?(service: Service): void;
  /** Who decides on traces, and makes spans of them. Left out: nobody does. */
  readonly tracing?: Tracing | null;
  /** Where somebody may watch exchanges as they happen. Left out: nobody can. */
  readonly tapPoint?: TapPoint;
}

export interface Sidecar {
  /** Whether requests would be served: an identity and a policy are there, and we are not on the way out. */
  readonly isReady: boolean;
  /** Where it listens; ports that were asked for as 0 are the real ones here. */
  readonly addresses: SidecarAddresses;
  /** Callers' connections that are open. */
  readonly connectionCount: number;
  /** Stops accepting and lets what is under way finish, `drainTimeoutMs` at most. Resolves when all is gone. */
  drain(): Promise<void>;
  /** Drops everything at once. */
  close(): Promise<void>;
}

export interface SidecarAddresses {
  readonly outbound: Address;
  /** In the order of the configuration. */
  readonly upstreams: readonly Address[];
  readonly inbound: readonly Address[];
  readonly hbone: Address | null;
}

/**
 * The whole data path of one workload. Serving begins at once, and refuses everything until identity and policy have
 * come. Errors: `unreachable` when a port cannot be opened; then nothing stays open.
 */
export async function openSidecar(config: SidecarConfig, ports: SidecarPorts): Promise<Sidecar> {
  const { network, clock, random, flows, metrics, registry, policy, logger } = ports;
  const own = followIdentity({ identity: ports.identity, network, logger });
  const callers = new LiveConnections(clock);
  const channels = new LiveConnections(clock);
  const connector = new Connector({ network, clock, identity: own });
  const pools = new Pools(async (target, owner, offer) => {
    const { connection, lifetime, tls, protocol } = await connector.open(target, offer);
    const { settings } = target;
    const life = settings === null ? lifetime : withAge(lifetime, settings.durationMs, { clock, random });
    const options = { owner, live: channels, lifetime: life, tls, settings };
    if (protocol === "http/1.1") return new Http1ClientConnection(connection, options);
    const streamWindowBytes = target.tunnelTo === null ? LIMITS.http2StreamWindowBytes : LIMITS.http2TunnelWindowBytes;
    const http2 = { clock, probesPeer: target.isRemote, streamWindowBytes };
    return new Http2ClientConnection(connection, { ...options, ...http2 });
  });
  const { name, namespace, labels, enforcement, ownPorts } = config;
  const shared = {
    network,
    clock,
    own,
    workload: Object.freeze({ name, namespace, labels }),
    gate: new AcceptGate(callers),
    live: callers,
    forward: new Forward({
      pools,
      connector,
      clock,
      onConnect: (target, error) => backends.reportConnect(target, error),
    }),
    protocolDetectionMs: config.protocolDetectionTimeoutMs ?? LIMITS.protocolDetectionMs,
  };
  const seen = { flows, metrics, clock, random, ...(ports.tapPoint === undefined ? {} : { tapPoint: ports.tapPoint }) };
  const { client = null, server = null } = ports.tracing ?? {};
  const bodies = new KeptBodies();
  const inbound = {
    ...shared,
    tries: new OnceMore(bodies),
    waits: { clock, count: 0, bodyBytes: 0 },
    services: {
      call: async (request: ServiceRequest) => (await import("./service-call.ts")).callService(request, outbound),
    },
    enforcement,
    registry,
    policy,
    recorder: new Recorder({ ...seen, reporter: "destination", tracing: server }),
    traceIds: createTraceIds(random, server),
  };
  const tries = { clock, random, bodies };
  const balancing = {
    random,
    nowMs: () => clock.monotonicMs(),
    activeAt: (member: Member) => pools.activeTo(member.target),
  };
  const parts = { clock, balancing, tries, events: reportBackends({ logger, counts: metrics.traffic }) };
  const backends = new Backends({
    registry,
    traffic: ports.traffic,
    parts,
    onUse: (service) => ports.onUse?.(service),
  });
  const egress = new EgressRouter({ registry, namespace, labels, ownPorts, backends, tries });
  const outbound = {
    ...shared,
    egress,
    recorder: new Recorder({ ...seen, reporter: "source", tracing: client }),
    traceIds: createTraceIds(random, client),
  };
  followAccessLog(policy, { asServer: inbound.recorder, asClient: outbound.recorder });

  const outboundPort = new OutboundPort(config.outbound, null, outbound);
  const upstreamPorts = config.upstreams.map((upstream) => new OutboundPort(upstream.listen, upstream, outbound));
  const inboundPorts = config.inbound.map((port) => {
    const place = inboundPlace(port, inbound);
    return new InboundPort(port.listen, { meantFor: () => null, at: () => place }, inbound);
  });
  const pod = config.redirect == null ? null : new PodPlaces({ redirect: config.redirect, ownPorts, registry });
  const hbonePorts =
    config.hbone === null
      ? []
      : [new HbonePort({ listen: config.hbone, inbound: config.inbound, ownPorts, pod, scope: inbound })];
  const original = ports.originalDestination ?? NOTHING_REDIRECTED;
  const redirected = pod === null ? [] : redirectedPorts(config.redirect!, { pod, original, inbound, outbound });
  const all = [outboundPort, ...upstreamPorts, ...inboundPorts, ...hbonePorts, ...redirected];
  const addresses = await openAll(all, config);

  const stopAccepting = () => Promise.all(all.map((port) => port.close()));
  return {
    get isReady() {
      return own.get() !== null && policy.get() !== null && !callers.isDraining;
    },
    get connectionCount() {
      return callers.size;
    },
    addresses,
    async drain() {
      logger.log("info", "draining", { connections: callers.size });
      const drained = drainConnections({ live: callers, clock, timeoutMs: config.drainTimeoutMs });
      await Promise.all([stopAccepting(), drained]);
      // The last bytes of what has finished may still be on their way, and go under if their connection is dropped.
      await drainConnections({ live: channels, clock, timeoutMs: LIMITS.lingerMs });
    },
    async close() {
      callers.isDraining = true;
      await stopAccepting();
      callers.endNow(CLOSED);
      channels.endNow(CLOSED);
    },
  };
}

/** Decided once for each set: a request costs no more than a look at a flag. */
function followAccessLog(
  policy: Latest<PolicySet | null>,
  { asServer, asClient }: { readonly asServer: Recorder; readonly asClient: Recorder },
): void {
  const follow = (set: PolicySet | null): void => {
    asServer.keepsAll = set?.accessLog?.isServerOn ?? true;
    asClient.keepsAll = set?.accessLog?.isClientOn ?? true;
  };
  follow(policy.get());
  policy.subscribe(follow);
}

const NOTHING_REDIRECTED: OriginalDestination = { of: () => null };

interface RedirectedScope {
  readonly pod: PodPlaces;
  readonly original: OriginalDestination;
  readonly inbound: InboundScope;
  readonly outbound: OutboundScope;
}

/** Where the kernel brings what the pod's app dials, and what comes to it. */
function redirectedPorts(config: RedirectConfig, { pod, original, inbound, outbound }: RedirectedScope): Port[] {
  const places = {
    meantFor: (connection: Connection) => capturedDestination(connection, original),
    at: (meant: Address | null) => inboundPlace(pod.at(meant!), inbound),
  };
  return [new OutboundPort(config.outbound, original, outbound), new InboundPort(config.inbound, places, inbound)];
}

const CLOSED = new CardeaError("draining", "the sidecar was closed");

interface Port {
  open(): Promise<Listening>;
  close(): Promise<void>;
}

async function openAll(ports: readonly Port[], { upstreams, inbound }: SidecarConfig): Promise<SidecarAddresses> {
  try {
    const opened: Address[] = [];
    for (const port of ports) opened.push((await port.open()).address);
    const [outbound, ...others] = opened;
    return {
      outbound: outbound!,
      upstreams: others.slice(0, upstreams.length),
      inbound: others.slice(upstreams.length, upstreams.length + inbound.length),
      hbone: others[upstreams.length + inbound.length] ?? null,
    };
  } catch (thrown) {
    await Promise.all(ports.map((port) => port.close()));
    throw thrown;
  }
}
