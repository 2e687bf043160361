import { CardeaError, toCardeaError } from "../core/errors.ts";
import type { Latest } from "../core/latest.ts";
import { carriesRequests } from "../core/port-protocol.ts";
import type { Address, Clock, Connection, Listening, Network, SecureConnection } from "../core/ports.ts";
import type { FlowPeer, FlowTls } from "../observe/flow.ts";
import type { TraceIds } from "../wire/traceparent.ts";
import type { AcceptGate } from "./accept.ts";
import type { AdmissionWaits } from "./admission-wait.ts";
import { type AcceptedCaller, acceptCaller, tlsOf } from "./accept-caller.ts";
import { PeerAuthorizer } from "./authorize.ts";
import { httpProtocolOf, isHttpAlpn } from "./detect.ts";
import type { PolicySet } from "./discovery/policy-sinks.ts";
import type { RegistrySnapshot } from "./discovery/registry-snapshot.ts";
import { callerPeer, type OwnWorkload, ownPeer } from "./flow-peers.ts";
import type { Forward } from "./forward.ts";
import type { OwnIdentity } from "./identify.ts";
import type { InboundPlace } from "./inbound-place.ts";
import { inboundServers, type Permitted } from "./inbound-servers.ts";
import type { LiveConnections } from "./live.ts";
import type { OpaqueBeginning } from "./opaque-beginning.ts";
import { ProtocolDetection } from "./protocol-detection.ts";
import { enderOf, type Pair, type Recorder } from "./record.ts";
import { claimedService } from "./sni.ts";
import { TcpFlow } from "./tcp-flow.ts";
import type { Tries } from "./tries.ts";

/** What every inbound port of a sidecar works with. */
export interface InboundScope {
  readonly network: Network;
  readonly clock: Clock;
  readonly workload: OwnWorkload;
  readonly enforcement: "ENFORCE" | "AUDIT" | null;
  readonly own: Latest<OwnIdentity | null>;
  readonly registry: Latest<RegistrySnapshot>;
  readonly policy: Latest<PolicySet | null>;
  readonly gate: AcceptGate;
  readonly live: LiveConnections;
  readonly recorder: Recorder;
  readonly forward: Forward;
  readonly traceIds: TraceIds;
  /** How long a client may be silent on a port of no declared protocol. */
  readonly protocolDetectionMs: number;
  /** What happens when the app loses a request. */
  readonly tries: Tries;
  readonly waits: AdmissionWaits;
}

/** Which port of the workload a connection is for. Errors: as they are to be recorded. */
interface Places {
  /** What the caller has dialled, where that is not simply our end; null: it is. */
  meantFor(connection: Connection): Address | null;
  at(meant: Address | null): InboundPlace;
}

/** A port on which the mesh reaches the workload: mutual TLS alone, and behind it nothing but the app's own ports. */
export class InboundPort {
  readonly #listen: Address;
  readonly #places: Places;
  readonly #scope: InboundScope;
  readonly #permitted = new Set<Permitted>();
  readonly #unsubscribe: () => void;
  #listening: Listening | null = null;

  constructor(listen: Address, places: Places, scope: InboundScope) {
    this.#listen = listen;
    this.#places = places;
    this.#scope = scope;
    this.#unsubscribe = scope.policy.subscribe(() => this.#recheckAll());
  }

  /** Errors: `unreachable`. */
  async open(): Promise<Listening> {
    this.#listening = await this.#scope.network.listen(this.#listen, (connection) => {
      void this.#accept(connection);
    });
    return this.#listening;
  }

  async close(): Promise<void> {
    this.#unsubscribe();
    await this.#listening?.close();
  }

  #recheckAll(): void {
    for (const permitted of this.#permitted) permitted.recheck();
  }

  /** accept → detect → identify; whoever does not get through is recorded here, and nobody is told why. */
  async #accept(connection: Connection): Promise<void> {
    const startedMs = this.#scope.clock.monotonicMs();
    let secure: SecureConnection | null = null;
    let meant: Address | null = null;
    let place: InboundPlace | null = null;
    try {
      meant = this.#places.meantFor(connection);
      place = this.#places.at(meant);
      const accepted = await acceptCaller(connection, this.#scope, {
        chooseAlpn: place.chooseAlpn,
        onSecure: (each) => {
          secure = each;
        },
      });
      this.#serve({ ...accepted, place, startedMs });
    } catch (thrown) {
      const error = toCardeaError(thrown);
      (secure ?? connection).destroy({ reset: true });
      this.#recordRefusal(secure ?? connection, {
        at: { host: (meant ?? connection.local).host, port: (place ?? meant ?? connection.local).port },
        tls: tlsOf(secure),
        error,
        startedMs,
      });
    }
  }

  #serve(accepted: Accepted): void {
    const { secure, caller, place } = accepted;
    const pair = this.#pairOf(accepted);
    const authorizer = new PeerAuthorizer(
      {
        principal: caller.spiffeId,
        sourceIp: secure.remote.host,
        remoteIp: secure.remote.host,
        destinationIp: place.localIp ?? secure.local.host,
        destinationPort: place.port,
        sni: secure.tls.sni,
      },
      place.rules,
    );
    const { protocol } = place;
    const { alpn } = secure.tls;
    const servers = this.#servers(accepted, authorizer, pair);
    if (carriesRequests(protocol) || (protocol === "AUTO" && isHttpAlpn(alpn))) {
      if (httpProtocolOf(alpn) === "http/1.1") servers.serveHttp1();
      else servers.serveHttp2();
    } else if (protocol === "TCP") this.#serveTcp(accepted, authorizer, pair);
    else {
      void new ProtocolDetection(secure, {
        ...servers,
        expects: protocol === "TLS" ? "TLS" : "AUTO",
        timeoutMs: this.#scope.protocolDetectionMs,
        clock: this.#scope.clock,
        live: this.#scope.live,
        serveOpaque: (beginning) => this.#serveTcp(accepted, authorizer, pair, beginning),
        refuse: (error) => {
          secure.destroy({ reset: true });
          this.#recordFault(accepted, pair, error);
        },
      });
      secure.resume();
    }
  }

  #servers(accepted: Accepted, authorizer: PeerAuthorizer, pair: Pair) {
    return inboundServers(accepted.secure, {
      scope: this.#scope,
      accepted,
      authorizer,
      pair,
      lifetime: accepted.caller.lifetime,
      permitted: this.#permitted,
      onFault: (error) => this.#recordFault(accepted, pair, error),
    });
  }

  #serveTcp(
    accepted: Accepted,
    authorizer: PeerAuthorizer,
    pair: Pair,
    beginning: OpaqueBeginning | null = null,
  ): void {
    const { recorder, forward, live } = this.#scope;
    const { secure, caller, startedMs } = accepted;
    const { lifetime } = caller;
    const flow = new TcpFlow({
      recorder,
      forward,
      live,
      caller: {
        open: () =>
          beginning?.open(lifetime, (error) => flow.end(error)) ?? { connection: secure, early: null, lifetime },
        refuse: () => secure.destroy({ reset: true }),
      },
      pair,
      tlsFrom: "downstream",
      servicePort: null,
      startedMs,
      appSni: beginning?.appSni ?? null,
      trace: null,
    });
    if (beginning !== null) beginning.onGone = (error) => flow.abandon(error);
    const authorization = authorizer.authorizeConnection();
    if (!authorization.allow) {
      const { decision } = authorization.denial;
      const code = decision.reason === "policy-not-loaded" ? "policy-not-loaded" : "denied-by-policy";
      flow.refuse(new CardeaError(code, ""), authorization.denial);
      return;
    }
    const permitted = { recheck: () => recheckFlow(flow, authorizer) };
    this.#permitted.add(permitted);
    void flow.carry(authorization.permit, () => void this.#permitted.delete(permitted));
  }

  #pairOf({ secure, own, caller, place }: Accepted): Pair {
    const registry = this.#scope.registry.get();
    const principal = own.identity.spiffeId;
    const service = claimedService(secure.tls.sni, { registry, principal, port: place.port });
    const at = { host: place.localIp ?? secure.local.host, port: place.port };
    return Object.freeze({
      source: callerPeer(secure.remote, caller.spiffeId, registry),
      destination: ownPeer(at, { workload: this.#scope.workload, principal, service }),
      tls: tlsOf(secure),
    });
  }

  /** The caller broke the rules of its connection, whatever becomes of the requests on it. */
  #recordFault({ secure, startedMs }: Accepted, pair: Pair, error: CardeaError): void {
    const { recorder } = this.#scope;
    recorder.connection({
      id: recorder.newId(),
      pair,
      grant: null,
      denial: null,
      error,
      startedMs,
      bytesReceived: secure.bytesReceived,
      bytesSent: secure.bytesSent,
      endedBy: enderOf(error.code),
      servicePort: null,
      upstreamPort: null,
    });
  }

  #recordRefusal(connection: Connection, { at, tls, error, startedMs }: Refused): void {
    const { recorder, registry, workload, own } = this.#scope;
    const principal = own.get()?.identity.spiffeId ?? null;
    const destination: FlowPeer = ownPeer(at, { workload, principal, service: null });
    recorder.connection({
      id: recorder.newId(),
      pair: { source: callerPeer(connection.remote, null, registry.get()), destination, tls },
      grant: null,
      denial: null,
      error,
      startedMs,
      bytesReceived: connection.bytesReceived,
      bytesSent: 0,
      endedBy: enderOf(error.code),
      servicePort: null,
      upstreamPort: null,
    });
  }
}

interface Refused {
  /** What it was for. */
  readonly at: Address;
  readonly tls: FlowTls;
  readonly error: CardeaError;
  readonly startedMs: number;
}

interface Accepted extends AcceptedCaller {
  readonly place: InboundPlace;
  readonly startedMs: number;
}

function recheckFlow(flow: TcpFlow, authorizer: PeerAuthorizer): void {
  const authorization = authorizer.authorizeConnection();
  if (!authorization.allow) flow.losePermission(authorization.denial);
}
