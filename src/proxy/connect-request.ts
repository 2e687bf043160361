import { type CardeaError, toCardeaError } from "../core/errors.ts";
import { type FlowPeer, NO_TLS } from "../observe/flow.ts";
import type { RequestHead } from "../wire/http1-head.ts";
import type { TraceIds } from "../wire/trace-context.ts";
import type { ServiceProtocol } from "./discovery/registry-snapshot.ts";
import type { EgressRouter, FixedService } from "./egress.ts";
import type { Forward } from "./forward.ts";
import type { LiveConnections } from "./live.ts";
import { makeLocalAnswer, sendLocalAnswer } from "./local-answer.ts";
import { isDenial, type Recorder } from "./record.ts";
import { answerRefused } from "./refuse-unread.ts";
import type { Route } from "./route.ts";
import type { Answer, Detached, DownstreamStream, RequestEvents } from "./streams.ts";
import { TcpFlow } from "./tcp-flow.ts";

interface ConnectOptions {
  readonly recorder: Recorder;
  readonly forward: Forward;
  readonly live: LiveConnections;
  readonly egress: EgressRouter;
  readonly traceIds: TraceIds;
  readonly source: FlowPeer;
  /** Of a request whose destination is not found. */
  readonly unknown: FlowPeer;
  /** A port that is declared HTTP gets a server of requests, not a tunnel: each of them is seen. */
  serveHttp(caller: Detached, service: FixedService): void;
  /** On a port that does not say what it speaks, or says TLS, the first bytes behind the answer tell. */
  detect(caller: Detached, service: NonNullable<FixedService>, expects: "AUTO" | "TLS"): void;
}

/** CONNECT host:port from our own app. RFC 9110 section 9.3.6. */
export class ConnectRequest implements RequestEvents {
  readonly #options: ConnectOptions;
  readonly #head: RequestHead;
  readonly #stream: DownstreamStream;
  readonly #startedMs: number;
  #flow: TcpFlow | null = null;
  #isOver = false;

  constructor(options: ConnectOptions, head: RequestHead, stream: DownstreamStream) {
    this.#options = options;
    this.#head = head;
    this.#stream = stream;
    this.#startedMs = options.recorder.nowMs();
  }

  begin(): void {
    try {
      const route = this.#options.egress.route(this.#head.host, null);
      if (route.port.protocol === "TCP") this.#carry(route);
      else this.#lookInto(route, route.port.protocol);
    } catch (thrown) {
      this.#refuse(toCardeaError(thrown));
    }
  }

  onRequestBody(): void {}

  onRequestEnd(): void {}

  onDownstreamDrain(): void {}

  mayHoldEarlyData(): boolean {
    return true;
  }

  onRequestFailure(error: CardeaError): void {
    this.#isOver = true;
    this.#flow?.abandon(error);
  }

  onStalled(): void {
    // Connecting has a time-out of its own.
  }

  #lookInto({ service, port }: Route, protocol: Exclude<ServiceProtocol, "TCP">): void {
    this.#stream.sendAnswer(established());
    const caller = this.#stream.detach();
    const fixed = { service: service.fqdn, servicePort: port.port };
    if (protocol === "HTTP") this.#options.serveHttp(caller, fixed);
    else this.#options.detect(caller, fixed, protocol);
  }

  #carry(route: Route): void {
    const { recorder, forward, live, egress, traceIds, source } = this.#options;
    const { permit, destination, tries } = egress.chooseTcp(route);
    const stream = this.#stream;
    this.#flow = new TcpFlow({
      recorder,
      forward,
      live,
      caller: {
        open() {
          stream.sendAnswer(established());
          return stream.detach();
        },
        refuse: (error, denialId) => {
          if (!this.#isOver) this.#answer(error, denialId);
        },
      },
      pair: { source, destination, tls: NO_TLS },
      tlsFrom: "upstream",
      servicePort: route.port.port,
      startedMs: this.#startedMs,
      trace: { ids: traceIds },
      tries,
    });
    void this.#flow.carry(permit);
  }

  #answer(error: CardeaError, denialId: string | null): void {
    sendLocalAnswer(this.#stream, makeLocalAnswer({ code: error.code, denialId, method: "CONNECT", isGrpc: false }));
  }

  #refuse(error: CardeaError): void {
    const { recorder, source, unknown } = this.#options;
    const id = recorder.newId();
    const denialId = isDenial(error.code) ? id : null;
    const local = makeLocalAnswer({ code: error.code, denialId, method: "CONNECT", isGrpc: false });
    answerRefused(
      { id, head: this.#head, error, local, grpcStatus: null, startedMs: this.#startedMs },
      { recorder, pair: { source, destination: unknown, tls: NO_TLS }, stream: this.#stream },
    );
  }
}

function established(): Answer {
  const framing = { kind: "none" } as const;
  return { status: 200, reason: "Connection Established", headers: [], framing, isLast: false };
}
