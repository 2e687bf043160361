import type { InboundConfig } from "../config/proxy-config.ts";
import { CardeaError, toCardeaError } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import type { Address, Connection, Listening, SecureConnection } from "../core/ports.ts";
import type { FlowTls } from "../observe/flow.ts";
import type { PeerFacts } from "../policy/decide.ts";
import { type AcceptedCaller, acceptCaller, tlsOf } from "./accept-caller.ts";
import { PeerAuthorizer } from "./authorize.ts";
import { callerPeer, ownPeer } from "./flow-peers.ts";
import { HboneCaller } from "./hbone-caller.ts";
import { HttpDetection } from "./http-detection.ts";
import { Http2ServerConnection } from "./http2/server-connection.ts";
import type { InboundScope } from "./inbound.ts";
import { type InboundPlace, inboundPlace } from "./inbound-place.ts";
import { inboundServers, type Permitted } from "./inbound-servers.ts";
import type { PodPlaces } from "./pod-places.ts";
import { enderOf, type Pair } from "./record.ts";
import { claimedService } from "./sni.ts";
import type { Detached } from "./streams.ts";

interface HbonePortOptions {
  readonly listen: Address;
  readonly inbound: readonly InboundConfig[];
  readonly ownPorts: readonly number[];
  /** In a pod: its ports, of which none need be declared. */
  readonly pod: PodPlaces | null;
  readonly scope: InboundScope;
}

/**
 * The workload's HBONE port: HTTP/2 over mutual TLS, on which a CONNECT opens each connection to one of the workload's
 * ports. On one that is declared to carry requests they are read here, and authorized one by one.
 */
export class HbonePort {
  readonly #options: HbonePortOptions;
  readonly #scope: InboundScope;
  readonly #ports: ReadonlyMap<number, InboundPlace>;
  readonly #callers = new Set<HboneCaller>();
  /** Callers of ports that carry requests. */
  readonly #permitted = new Set<Permitted>();
  readonly #unsubscribe: () => void;
  #listening: Listening | null = null;
  /** Of the listener, for what is refused before a port is known. */
  #port = 0;

  constructor(options: HbonePortOptions) {
    this.#options = options;
    this.#scope = options.scope;
    this.#ports = new Map(options.inbound.map((each) => [each.port, inboundPlace(each, this.#scope)]));
    this.#unsubscribe = this.#scope.policy.subscribe(() => {
      for (const caller of this.#callers) caller.recheck();
      for (const caller of this.#permitted) caller.recheck();
    });
  }

  /** Errors: `unreachable`. */
  async open(): Promise<Listening> {
    this.#listening = await this.#scope.network.listen(this.#options.listen, (connection) => {
      void this.#accept(connection);
    });
    this.#port = this.#listening.address.port;
    return this.#listening;
  }

  async close(): Promise<void> {
    this.#unsubscribe();
    await this.#listening?.close();
  }

  /** Undefined: the workload has no such port. */
  #find(localIp: string, port: number): InboundPlace | undefined {
    const { pod, ownPorts } = this.#options;
    const declared = this.#ports.get(port);
    if (declared !== undefined || pod === null || ownPorts.includes(port)) return declared;
    return inboundPlace(pod.at({ host: localIp, port }), this.#scope);
  }

  /** accept → identify; whoever does not get through is recorded, and nobody is told why. */
  async #accept(connection: Connection): Promise<void> {
    const startedMs = this.#scope.clock.monotonicMs();
    let secure: SecureConnection | null = null;
    try {
      const accepted = await acceptCaller(connection, this.#scope, {
        chooseAlpn: chooseHboneAlpn,
        onSecure: (each) => {
          secure = each;
        },
      });
      this.#serve({ ...accepted, startedMs });
    } catch (thrown) {
      const gone = secure ?? connection;
      gone.destroy({ reset: true });
      this.#recordFault(gone, this.#refusedPair(gone, tlsOf(secure)), { error: toCardeaError(thrown), startedMs });
    }
  }

  #serve(accepted: Accepted): void {
    const { secure, own, caller, startedMs } = accepted;
    const { recorder, forward, live, traceIds, clock, registry, workload, policy, waits, services } = this.#scope;
    const tls = tlsOf(secure);
    const principal = own.identity.spiffeId;
    const pairOf = (port: number | null): Pair => {
      const known = registry.get();
      const service = port === null ? null : claimedService(secure.tls.sni, { registry: known, principal, port });
      return Object.freeze({
        source: callerPeer(secure.remote, caller.spiffeId, known),
        destination: ownPeer({ host: secure.local.host, port: port ?? this.#port }, { workload, principal, service }),
        tls,
      });
    };
    const factsOf = (destinationPort: number): PeerFacts => ({
      principal: caller.spiffeId,
      sourceIp: secure.remote.host,
      remoteIp: secure.remote.host,
      destinationIp: secure.local.host,
      destinationPort,
      sni: secure.tls.sni,
    });
    const localIp = secure.local.host;
    const { ownPorts } = this.#options;
    const handler = new HboneCaller({
      recorder,
      forward,
      live,
      traceIds,
      policy,
      waits,
      services,
      localIp,
      find: (port) => this.#find(localIp, port),
      ownPorts,
      factsOf,
      pairOf,
      serveRequests: (place, tunnel) => this.#serveRequests(accepted, tunnel, { place, factsOf, pairOf }),
    });
    this.#callers.add(handler);
    void new Http2ServerConnection(secure, {
      handler,
      live,
      clock,
      lifetime: caller.lifetime,
      streamWindowBytes: LIMITS.http2TunnelWindowBytes,
      onGone: () => this.#callers.delete(handler),
      onFault: (error) => this.#recordFault(secure, pairOf(null), { error, startedMs }),
    });
  }

  /** What is in the tunnel is read as what comes to the port itself is. */
  #serveRequests(
    accepted: Accepted,
    { connection, early, lifetime }: Detached,
    { place, factsOf, pairOf }: Inner,
  ): void {
    const pair = pairOf(place.port);
    const servers = inboundServers(connection, {
      scope: this.#scope,
      accepted,
      authorizer: new PeerAuthorizer(factsOf(place.port), place.rules),
      pair,
      lifetime,
      permitted: this.#permitted,
      onFault: (error) => this.#recordFault(connection, pair, { error, startedMs: accepted.startedMs }),
    });
    const detection = new HttpDetection(connection, { live: this.#scope.live, ...servers });
    connection.resume();
    if (early !== null) detection.onData(early);
  }

  #refusedPair(connection: Connection, tls: FlowTls): Pair {
    const { registry, workload, own } = this.#scope;
    const principal = own.get()?.identity.spiffeId ?? null;
    const at = { host: connection.local.host, port: this.#port };
    return {
      source: callerPeer(connection.remote, null, registry.get()),
      destination: ownPeer(at, { workload, principal, service: null }),
      tls,
    };
  }

  #recordFault(connection: Connection, pair: Pair, { error, startedMs }: Fault): void {
    const { recorder } = this.#scope;
    recorder.connection({
      id: recorder.newId(),
      pair,
      grant: null,
      denial: null,
      error,
      startedMs,
      bytesReceived: connection.bytesReceived,
      bytesSent: connection.bytesSent,
      endedBy: enderOf(error.code),
      servicePort: null,
      upstreamPort: null,
    });
  }
}

interface Accepted extends AcceptedCaller {
  readonly startedMs: number;
}

/** The port that a CONNECT asks for, and who asks. */
interface Inner {
  readonly place: InboundPlace;
  readonly factsOf: (port: number) => PeerFacts;
  readonly pairOf: (port: number) => Pair;
}

interface Fault {
  readonly error: CardeaError;
  readonly startedMs: number;
}

/** HTTP/2 and nothing else: who offers other protocols alone is turned away in the handshake. */
function chooseHboneAlpn(offered: readonly string[]): string | null {
  return offered.includes("h2") ? "h2" : null;
}
