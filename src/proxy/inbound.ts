import { CardeaError, toCardeaError } from "../core/errors.ts";
import type { Latest } from "../core/latest.ts";
import { carriesRequests } from "../core/port-protocol.ts";
import type { Address, Clock, Connection, Listening, Network, SecureConnection, TlsFacts } from "../core/ports.ts";
import type { FlowPeer, FlowTls } from "../observe/flow.ts";
import type { TraceIds } from "../wire/trace-context.ts";
import type { AcceptGate } from "./accept.ts";
import type { AdmissionWaits } from "./admission-wait.ts";
import {
  type AcceptedCaller,
  acceptCaller,
  type AcceptOptions,
  secureCaller,
  tlsOf,
  usableIdentity,
} from "./accept-caller.ts";
import { PeerAuthorizer } from "./authorize.ts";
import { httpProtocolOf, isHttpAlpn } from "./detect.ts";
import { peerModeAt, type PolicySet } from "./discovery/policy-sinks.ts";
import type { RegistrySnapshot } from "./discovery/registry-snapshot.ts";
import { callerPeer, type OwnWorkload, ownPeer } from "./flow-peers.ts";
import type { Forward } from "./forward.ts";
import { HttpDetection } from "./http-detection.ts";
import type { Caller, OwnIdentity } from "./identify.ts";
import type { InboundPlace } from "./inbound-place.ts";
import { inboundServers, type Permitted } from "./inbound-servers.ts";
import { UNLIMITED } from "./lifetime.ts";
import { LiveConnections } from "./live.ts";
import { OpaqueBeginning } from "./opaque-beginning.ts";
import { ProtocolDetection } from "./protocol-detection.ts";
import { enderOf, type Pair, type Recorder } from "./record.ts";
import type { PlaintextBegun } from "./read-plaintext.ts";
import type { ServiceCalls } from "./service-call.ts";
import { claimedService } from "./sni.ts";
import { authorizeFlow, recheckFlow, TcpFlow } from "./tcp-flow.ts";
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
  readonly services: ServiceCalls;
}

/** Which port of the workload a connection is for. Errors: as they are to be recorded. */
interface Places {
  /** What the caller has dialled, where that is not simply our end; null: it is. */
  meantFor(connection: Connection): Address | null;
  at(meant: Address | null): InboundPlace;
}

/**
 * A port on which the mesh reaches the workload: mutual TLS, or what a PeerAuthentication says instead, and behind it
 * nothing but the app's own ports.
 */
export class InboundPort {
  readonly #listen: Address;
  readonly #places: Places;
  readonly #scope: InboundScope;
  readonly #permitted = new Set<Permitted>();
  /** Connections of callers that have proved nothing, by the port that they are for. */
  readonly #plaintext = new Map<number, LiveConnections>();
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
    for (const [port, live] of this.#plaintext) {
      const { mode, by } = peerModeAt(this.#scope.policy.get(), port);
      if (mode === "STRICT") live.endNow(plaintextRefused(by));
      if (live.size === 0) this.#plaintext.delete(port);
    }
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
      const options: AcceptOptions = {
        chooseAlpn: place.chooseAlpn,
        onSecure: (each) => {
          secure = each;
        },
      };
      const { mode } = peerModeAt(this.#scope.policy.get(), place.port);
      if (mode === "STRICT") {
        const accepted = await acceptCaller(connection, this.#scope, options);
        this.#serve({ ...this.#proved(accepted), place, startedMs });
      } else await this.#acceptEither(connection, { mode, place, options, startedMs });
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

  /** Where plaintext is let in: who has proved nothing is nobody, whatever it says. */
  async #acceptEither(connection: Connection, { mode, place, options, startedMs }: Either): Promise<void> {
    const { gate, clock, policy, protocolDetectionMs } = this.#scope;
    const own = usableIdentity(this.#scope);
    // Most sidecars never need it.
    const { readPlaintext } = await import("./read-plaintext.ts");
    const begun = await gate.run(() =>
      readPlaintext(connection, { mode, protocol: place.protocol, silenceMs: protocolDetectionMs, clock }),
    );
    if (begun.at === "mesh") {
      const accepted = await secureCaller(connection, begun.head, { ...options, own, scope: this.#scope });
      this.#serve({ ...this.#proved(accepted), place, startedMs });
      return;
    }
    const now = peerModeAt(policy.get(), place.port);
    if (now.mode === "STRICT") throw plaintextRefused(now.by);
    const live = this.#plaintextAt(place.port);
    this.#serve({ connection, tls: null, own, caller: null, live, place, startedMs }, begun);
  }

  #proved({ secure, own, caller }: AcceptedCaller): Pick<Accepted, "connection" | "tls" | "own" | "caller" | "live"> {
    return { connection: secure, tls: secure.tls, own, caller, live: this.#scope.live };
  }

  #plaintextAt(port: number): LiveConnections {
    const known = this.#plaintext.get(port);
    if (known !== undefined) return known;
    // A pod has ports without number, and whoever looks through them must not fill the memory.
    for (const [other, { size }] of this.#plaintext) if (size === 0) this.#plaintext.delete(other);
    const live = new LiveConnections(this.#scope.clock, this.#scope.live);
    this.#plaintext.set(port, live);
    return live;
  }

  #serve(accepted: Accepted, begun: PlaintextBegun | null = null): void {
    const { connection, tls, caller, place } = accepted;
    const pair = this.#pairOf(accepted);
    const authorizer = new PeerAuthorizer(
      {
        principal: caller?.spiffeId ?? null,
        sourceIp: connection.remote.host,
        remoteIp: connection.remote.host,
        destinationIp: place.localIp ?? connection.local.host,
        destinationPort: place.port,
        sni: tls === null ? (begun?.sni ?? null) : tls.sni,
      },
      place.rules,
    );
    const { protocol } = place;
    const servers = this.#servers(accepted, authorizer, pair);
    if (tls !== null && (carriesRequests(protocol) || (protocol === "AUTO" && isHttpAlpn(tls.alpn)))) {
      if (httpProtocolOf(tls.alpn) === "http/1.1") servers.serveHttp1();
      else servers.serveHttp2();
    } else if (carriesRequests(protocol)) {
      goOn(connection, new HttpDetection(connection, { ...servers, live: accepted.live }), begun);
    } else if (protocol === "TCP" || begun?.isSilent === true) {
      this.#serveTcp(accepted, authorizer, pair, begun === null ? null : opaqueBeginning(connection, begun));
    } else {
      const detection = new ProtocolDetection(connection, {
        ...servers,
        expects: protocol === "TLS" ? "TLS" : "AUTO",
        timeoutMs: this.#scope.protocolDetectionMs,
        clock: this.#scope.clock,
        live: accepted.live,
        serveOpaque: (beginning) => this.#serveTcp(accepted, authorizer, pair, beginning),
        refuse: (error) => {
          connection.destroy({ reset: true });
          this.#recordFault(accepted, pair, error);
        },
      });
      goOn(connection, detection, begun);
    }
  }

  #servers(accepted: Accepted, authorizer: PeerAuthorizer, pair: Pair) {
    return inboundServers(accepted.connection, {
      scope: { ...this.#scope, live: accepted.live },
      accepted,
      authorizer,
      pair,
      lifetime: accepted.caller?.lifetime ?? UNLIMITED,
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
    const { recorder, forward } = this.#scope;
    const { connection, caller, live, startedMs, place } = accepted;
    const lifetime = caller?.lifetime ?? UNLIMITED;
    // On a port that is declared opaque nobody looks for requests.
    const onLate = place.protocol === "TCP" ? null : (error: CardeaError) => flow.end(error);
    const flow = new TcpFlow({
      recorder,
      forward,
      live,
      caller: {
        open: () => beginning?.open(lifetime, onLate) ?? { connection, early: null, lifetime },
        refuse: () => connection.destroy({ reset: true }),
      },
      pair,
      tlsFrom: "downstream",
      servicePort: null,
      startedMs,
      appSni: beginning?.appSni ?? null,
      trace: null,
    });
    if (beginning !== null) beginning.onGone = (error) => flow.abandon(error);
    authorizeFlow(flow, { ...this.#scope, authorizer }, (permit) => {
      const permitted = { recheck: () => recheckFlow(flow, authorizer, this.#scope.policy.get()) };
      this.#permitted.add(permitted);
      void flow.carry(permit, () => void this.#permitted.delete(permitted));
    });
  }

  #pairOf(accepted: Accepted): Pair {
    const { connection, tls, own, caller, place } = accepted;
    const registry = this.#scope.registry.get();
    const principal = own.identity.spiffeId;
    const service = claimedService(tls?.sni ?? null, { registry, principal, port: place.port });
    const at = { host: place.localIp ?? connection.local.host, port: place.port };
    return Object.freeze({
      source: callerPeer(connection.remote, caller?.spiffeId ?? null, registry),
      destination: ownPeer(at, { workload: this.#scope.workload, principal, service }),
      tls: tlsOf(accepted),
    });
  }

  /** The caller broke the rules of its connection, whatever becomes of the requests on it. */
  #recordFault({ connection, startedMs }: Accepted, pair: Pair, error: CardeaError): void {
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

/** A caller with its connection, and what it has shown. */
interface Accepted {
  /** As it is read: without TLS of the mesh's. */
  readonly connection: Connection;
  /** Null: it came in plaintext. */
  readonly tls: TlsFacts | null;
  readonly own: OwnIdentity;
  /** Null: nobody has proved anything. */
  readonly caller: Caller | null;
  /** Where its connection counts. */
  readonly live: LiveConnections;
  readonly place: InboundPlace;
  readonly startedMs: number;
}

interface Either {
  readonly mode: "PERMISSIVE" | "DISABLE";
  readonly place: InboundPlace;
  readonly options: AcceptOptions;
  readonly startedMs: number;
}

/** What was read of a plaintext connection goes to the stage that takes it over. */
function goOn(connection: Connection, stage: { onData(chunk: Buffer): void }, begun: PlaintextBegun | null): void {
  if (begun?.early != null) stage.onData(begun.early);
  connection.resume();
}

function opaqueBeginning(connection: Connection, { early, sni }: PlaintextBegun): OpaqueBeginning {
  return new OpaqueBeginning(connection, { early, hasEnded: false, appSni: sni });
}

function plaintextRefused(by: string | null): CardeaError {
  const who = by === null ? "no PeerAuthentication lets plaintext in" : `the PeerAuthentication ${by} says STRICT`;
  return new CardeaError("plaintext-refused", who);
}
