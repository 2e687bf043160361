import { CardeaError, toCardeaError } from "../core/errors.ts";
import { type FlowPeer, NO_TLS } from "../observe/flow.ts";
import type { RequestHead } from "../wire/http1-head.ts";
import { type TraceIds, traceThrough } from "../wire/trace-context.ts";
import type { Admission, ExchangeSide } from "./admission.ts";
import { permitEgress, ROUTE_ANSWERED } from "./authorize.ts";
import { ConnectRequest } from "./connect-request.ts";
import type { EgressRouter, FixedService } from "./egress.ts";
import { Exchange } from "./exchange.ts";
import type { Forward } from "./forward.ts";
import { requestHeadersOf, takesTrailers } from "./headers.ts";
import type { LiveConnections } from "./live.ts";
import type { Pair, Recorder } from "./record.ts";
import { refuseUnread } from "./refuse-unread.ts";
import type { Detached, DownstreamStream, RequestEvents, RequestHandler } from "./streams.ts";
import { allowedUpgradeOf } from "./upgrade.ts";

export interface OutboundCallerOptions {
  readonly recorder: Recorder;
  readonly forward: Forward;
  readonly live: LiveConnections;
  readonly egress: EgressRouter;
  readonly traceIds: TraceIds;
  readonly fixed: FixedService;
  readonly source: FlowPeer;
  /** The destination of a request for which none is found. */
  readonly unknown: FlowPeer;
  serveHttp(caller: Detached, service: FixedService): void;
  detect(caller: Detached, service: NonNullable<FixedService>, expects: "AUTO" | "TLS"): void;
}

/** The requests that come over one connection of our own app. */
export class OutboundCaller implements RequestHandler, ExchangeSide {
  readonly recorder: Recorder;
  readonly forward: Forward;
  readonly live: LiveConnections;
  // The other side's sidecar tells the id of a denial.
  readonly ownHeaders = "pass";
  readonly tlsFrom = "upstream";
  readonly #options: OutboundCallerOptions;

  constructor(options: OutboundCallerOptions) {
    this.#options = options;
    this.recorder = options.recorder;
    this.forward = options.forward;
    this.live = options.live;
  }

  begin(head: RequestHead, stream: DownstreamStream): RequestEvents {
    // Behind a fixed port or an earlier CONNECT there is one service, and no choice.
    const isConnect = head.method === "CONNECT" && this.#options.fixed === null;
    const request = isConnect ? new ConnectRequest(this.#options, head, stream) : new Exchange(this, head, stream);
    request.begin();
    return request;
  }

  refuse(error: CardeaError, stream: DownstreamStream, isGrpc: boolean): void {
    refuseUnread(error, { recorder: this.recorder, pair: this.#unknownPair(), stream, isGrpc });
  }

  onDone(): void {}

  onAdmittedLate(): void {}

  admit(head: RequestHead): Admission {
    const { egress, fixed, source, traceIds } = this.#options;
    const headers = requestHeadersOf(head);
    const trace = traceThrough(headers, traceIds);
    let servicePort: number | null = null;
    try {
      if (head.method === "CONNECT") throw new CardeaError("method-not-allowed", "there is one service here");
      const route = egress.route(head.host, fixed);
      servicePort = route.port.port;
      const upgrade = allowedUpgradeOf(head);
      const routed = egress.routeRequest(route, { head, sourceIp: source.ip });
      if (routed.at === "answer") {
        const seen = { route: routed.route, attempts: 0, retriedFor: null };
        const answer = { local: routed.local, grant: ROUTE_ANSWERED, seen };
        return { at: "answered", answer, path: null, pair: this.#unknownPair(), servicePort, trace };
      }
      const { member, tries, edit, changeAnswer } = routed;
      return {
        at: "admitted",
        permit: permitEgress(member.target),
        request: {
          method: head.method,
          target: edit === null ? head.path : edit(headers, head.path),
          headers,
          framing: head.framing,
          upgrade,
          takesTrailers: takesTrailers(head),
          neverIndexed: head.neverIndexed ?? null,
        },
        facts: null,
        path: null,
        pair: { source, destination: member.peer, tls: NO_TLS },
        servicePort,
        trace,
        tries,
        changeAnswer,
      };
    } catch (thrown) {
      const error = toCardeaError(thrown);
      return { at: "refused", error, denial: null, path: null, pair: this.#unknownPair(), servicePort, trace };
    }
  }

  #unknownPair(): Pair {
    const { source, unknown } = this.#options;
    return { source, destination: unknown, tls: NO_TLS };
  }
}
