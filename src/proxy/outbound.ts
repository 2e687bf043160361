import { CardeaError, toCardeaError } from "../core/errors.ts";
import type { Latest } from "../core/latest.ts";
import type { Address, Clock, Connection, Listening, Network, OriginalDestination } from "../core/ports.ts";
import { type FlowPeer, NO_TLS } from "../observe/flow.ts";
import type { TraceIds } from "../wire/trace-context.ts";
import type { AcceptGate } from "./accept.ts";
import { capturedDestination } from "./captured.ts";
import type { EgressRouter, FixedService } from "./egress.ts";
import { type OwnWorkload, ownPeer, unknownPeer } from "./flow-peers.ts";
import type { Forward } from "./forward.ts";
import { Http1ServerConnection } from "./http1/server-connection.ts";
import { Http2ServerConnection } from "./http2/server-connection.ts";
import { HttpDetection } from "./http-detection.ts";
import type { OwnIdentity } from "./identify.ts";
import { type Lifetime, UNLIMITED } from "./lifetime.ts";
import type { LiveConnections } from "./live.ts";
import type { OpaqueBeginning } from "./opaque-beginning.ts";
import { OutboundCaller } from "./outbound-caller.ts";
import { ProtocolDetection } from "./protocol-detection.ts";
import { enderOf, type Recorder } from "./record.ts";
import type { Route } from "./route.ts";
import type { Detached } from "./streams.ts";
import { TcpFlow } from "./tcp-flow.ts";

/** What the outbound ports of a sidecar work with. */
export interface OutboundScope {
  readonly network: Network;
  readonly clock: Clock;
  readonly workload: OwnWorkload;
  readonly own: Latest<OwnIdentity | null>;
  readonly gate: AcceptGate;
  readonly live: LiveConnections;
  readonly recorder: Recorder;
  readonly forward: Forward;
  readonly egress: EgressRouter;
  readonly traceIds: TraceIds;
  /** How long a client may be silent on a port of no declared protocol. */
  readonly protocolDetectionMs: number;
}

/** What is known of an opaque connection that was looked into before. */
interface Begun {
  readonly open: (() => Detached) | null;
  readonly appSni: string | null;
}

const NOT_BEGUN: Begun = { open: null, appSni: null };

/**
 * A port for our own app: a proxy that takes any service (absolute-form, Host, CONNECT), or, with a fixed service,
 * that one alone; or where the kernel brings all that the app dials, with its destination kept.
 */
export class OutboundPort {
  readonly #at: Address;
  readonly #fixed: FixedService | OriginalDestination;
  readonly #scope: OutboundScope;
  #listening: Listening | null = null;

  constructor(at: Address, fixed: FixedService | OriginalDestination, scope: OutboundScope) {
    this.#at = at;
    this.#fixed = fixed;
    this.#scope = scope;
  }

  /** Errors: `unreachable`. */
  async open(): Promise<Listening> {
    this.#listening = await this.#scope.network.listen(this.#at, (connection) => this.#accept(connection));
    return this.#listening;
  }

  async close(): Promise<void> {
    await this.#listening?.close();
  }

  #accept(connection: Connection): void {
    let fixed: FixedService = null;
    try {
      fixed = this.#serviceOf(connection);
      this.#scope.gate.assertOpen();
      // Which protocol a fixed port speaks is what the registry says now; without a service requests are answered so.
      const route = fixed === null ? null : this.#routeOrNull(fixed);
      const caller = { connection, early: null, lifetime: UNLIMITED };
      if (route === null || route.port.protocol === "HTTP") this.#serveHttp(caller, fixed);
      else if (route.port.protocol === "TCP") this.#serveTcp(connection, route);
      else this.#detect(caller, fixed!, route.port.protocol);
    } catch (thrown) {
      this.#refuse(connection, toCardeaError(thrown), fixed);
    }
  }

  #serviceOf(connection: Connection): FixedService {
    if (this.#fixed === null || !("of" in this.#fixed)) return this.#fixed;
    return { captured: capturedDestination(connection, this.#fixed) };
  }

  #routeOrNull(fixed: NonNullable<FixedService>): Route | null {
    try {
      return this.#scope.egress.route(null, fixed);
    } catch (thrown) {
      // What was captured for nobody that is known may be no request at all.
      if (toCardeaError(thrown).code === "no-route" && !("captured" in fixed)) return null;
      throw thrown;
    }
  }

  #serveHttp(caller: Detached, fixed: FixedService): void {
    const { connection, early } = caller;
    const detection = new HttpDetection(connection, { live: this.#scope.live, ...this.#servers(caller, fixed) });
    connection.resume();
    if (early !== null) detection.onData(early);
  }

  #servers({ connection, lifetime }: Detached, fixed: FixedService) {
    const { recorder, forward, live, egress, traceIds, clock } = this.#scope;
    const handler = new OutboundCaller({
      recorder,
      forward,
      live,
      egress,
      traceIds,
      fixed,
      source: this.#sourceOf(connection),
      unknown: unknownPeer(meantFor(connection, fixed)),
      serveHttp: (caller, service) => this.#serveHttp(caller, service),
      detect: (caller, service, expects) => this.#detect(caller, service, expects),
    });
    const options = { handler, live, clock, lifetime };
    const onFault = (error: CardeaError) => this.#record(connection, error, fixed);
    return {
      serveHttp1: () => new Http1ServerConnection(connection, options),
      serveHttp2: () => new Http2ServerConnection(connection, { ...options, onFault }),
    };
  }

  /** The port does not say what it speaks, or speaks a TLS of which the name is wanted: the first bytes tell. */
  #detect(caller: Detached, service: NonNullable<FixedService>, expects: "AUTO" | "TLS"): void {
    const { live, clock, protocolDetectionMs } = this.#scope;
    const { connection, early, lifetime } = caller;
    const detection = new ProtocolDetection(connection, {
      ...this.#servers(caller, service),
      expects,
      timeoutMs: protocolDetectionMs,
      clock,
      live,
      serveOpaque: (beginning) => this.#serveOpaque(beginning, lifetime, service),
      refuse: (error) => this.#refuse(connection, error, service),
    });
    connection.resume();
    if (early !== null) detection.onData(early);
    if (caller.hasEnded === true) detection.onEnd();
  }

  #serveOpaque(beginning: OpaqueBeginning, lifetime: Lifetime, service: NonNullable<FixedService>): void {
    const { connection } = beginning;
    try {
      const route = this.#scope.egress.route(null, service);
      const flow = this.#serveTcp(connection, route, {
        open: () => beginning.open(lifetime),
        appSni: beginning.appSni,
      });
      beginning.onGone = (error) => flow.abandon(error);
    } catch (thrown) {
      this.#refuse(connection, toCardeaError(thrown), service);
    }
  }

  #serveTcp(connection: Connection, route: Route, begun: Begun = NOT_BEGUN): TcpFlow {
    const { recorder, forward, live, egress, traceIds } = this.#scope;
    const startedMs = recorder.nowMs();
    const { permit, destination, tries } = egress.chooseTcp(route);
    const flow = new TcpFlow({
      recorder,
      forward,
      live,
      caller: {
        open: begun.open ?? (() => ({ connection, early: null, lifetime: UNLIMITED })),
        refuse: () => connection.destroy({ reset: true }),
      },
      appSni: begun.appSni,
      trace: { ids: traceIds },
      pair: { source: this.#sourceOf(connection), destination, tls: NO_TLS },
      tlsFrom: "upstream",
      servicePort: route.port.port,
      startedMs,
      tries,
    });
    void flow.carry(permit);
    return flow;
  }

  #sourceOf(connection: Connection): FlowPeer {
    const { workload, own } = this.#scope;
    const principal = own.get()?.identity.spiffeId ?? null;
    return ownPeer(connection.remote, { workload, principal, service: null });
  }

  #refuse(connection: Connection, error: CardeaError, fixed: FixedService): void {
    connection.destroy({ reset: true });
    this.#record(connection, error, fixed);
  }

  /** What is no request's: a connection that was not accepted, or broke the rules of its protocol. */
  #record(connection: Connection, error: CardeaError, fixed: FixedService): void {
    const { recorder } = this.#scope;
    const destination = unknownPeer(meantFor(connection, fixed));
    recorder.connection({
      id: recorder.newId(),
      pair: { source: this.#sourceOf(connection), destination, tls: NO_TLS },
      grant: null,
      denial: null,
      error,
      startedMs: recorder.nowMs(),
      bytesReceived: 0,
      bytesSent: 0,
      endedBy: enderOf(error.code),
      servicePort: servicePortOf(fixed),
      upstreamPort: null,
    });
  }
}

function meantFor(connection: Connection, fixed: FixedService): Address {
  return fixed !== null && "captured" in fixed ? fixed.captured : connection.local;
}

function servicePortOf(fixed: FixedService): number | null {
  if (fixed === null) return null;
  return "captured" in fixed ? fixed.captured.port : fixed.servicePort;
}
