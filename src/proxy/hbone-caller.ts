import { type CardeaError, type ErrorCode, toCardeaError } from "../core/errors.ts";
import type { Latest } from "../core/latest.ts";
import { carriesRequests } from "../core/port-protocol.ts";
import { type TraceIds, traceThrough } from "../wire/trace-context.ts";
import { PeerAuthorizer } from "./authorize.ts";
import type { AdmissionWaits } from "./admission-wait.ts";
import type { PolicySet } from "./discovery/policy-sinks.ts";
import type { Forward } from "./forward.ts";
import type { InboundPlace } from "./inbound-place.ts";
import { readHboneRequest } from "./hbone-request.ts";
import type { LiveConnections } from "./live.ts";
import { type LocalAnswer, makeLocalAnswer, sendLocalAnswer } from "./local-answer.ts";
import type { Pair, Recorder } from "./record.ts";
import { answerRefused, refuseUnread } from "./refuse-unread.ts";
import type { RequestHead } from "../wire/http1-head.ts";
import type { PeerFacts } from "../policy/decide.ts";
import type { ServiceCalls } from "./service-call.ts";
import type { Answer, Detached, DownstreamStream, RequestEvents, RequestHandler } from "./streams.ts";
import { authorizeFlow, recheckFlow, TcpFlow } from "./tcp-flow.ts";

interface HboneCallerOptions {
  readonly recorder: Recorder;
  readonly forward: Forward;
  readonly live: LiveConnections;
  readonly traceIds: TraceIds;
  readonly policy: Latest<PolicySet | null>;
  readonly waits: AdmissionWaits;
  readonly services: ServiceCalls;
  readonly localIp: string;
  /** One of the workload's ports; undefined: it cannot be reached through the tunnel. */
  readonly find: (port: number) => InboundPlace | undefined;
  readonly ownPorts: readonly number[];
  /** Who calls, and to which of our ports. */
  readonly factsOf: (port: number) => PeerFacts;
  /** The same for the record; null where the port is not known. */
  readonly pairOf: (port: number | null) => Pair;
  /** Reads what comes through a tunnel to a port that carries requests; each of them is authorized, and recorded. */
  serveRequests(place: InboundPlace, tunnel: Detached): void;
}

/** The CONNECTs of one caller's HTTP/2 connection. Identity is the connection's, permission each stream's or request's. */
export class HboneCaller implements RequestHandler {
  readonly #options: HboneCallerOptions;
  readonly #flows = new Map<TcpFlow, PeerAuthorizer>();

  constructor(options: HboneCallerOptions) {
    this.#options = options;
  }

  begin(head: RequestHead, stream: DownstreamStream): RequestEvents {
    const { localIp, find, ownPorts } = this.#options;
    try {
      const place = readHboneRequest(head, { localIp, find, ownPorts });
      if (!carriesRequests(place.protocol)) return this.#connect(head, place, stream);
      stream.sendAnswer(established());
      this.#options.serveRequests(place, stream.detach());
    } catch (thrown) {
      this.#refuseRequest(head, stream, toCardeaError(thrown));
    }
    return ANSWERED;
  }

  refuse(error: CardeaError, stream: DownstreamStream): void {
    const { recorder, pairOf } = this.#options;
    refuseUnread(error, { recorder, pair: pairOf(null), stream, isGrpc: false });
  }

  /** A new policy is in force: only the streams that it denies end. */
  recheck(): void {
    const set = this.#options.policy.get();
    for (const [flow, authorizer] of this.#flows) recheckFlow(flow, authorizer, set);
  }

  #connect(head: RequestHead, { port, rules }: InboundPlace, stream: DownstreamStream): RequestEvents {
    const { recorder, forward, live, factsOf, pairOf, traceIds } = this.#options;
    const connect = new HboneStream(stream);
    const flow = new TcpFlow({
      recorder,
      forward,
      live,
      caller: connect,
      pair: pairOf(port),
      tlsFrom: "downstream",
      servicePort: null,
      startedMs: recorder.nowMs(),
      appSni: null,
      trace: { from: traceThrough([...head.headers], traceIds) },
    });
    connect.flow = flow;
    const authorizer = new PeerAuthorizer(factsOf(port), rules);
    authorizeFlow(flow, { ...this.#options, authorizer }, (permit) => {
      this.#flows.set(flow, authorizer);
      void flow.carry(permit, () => void this.#flows.delete(flow));
    });
    return connect;
  }

  /** What is no CONNECT to a port of ours, recorded as the request that it is. */
  #refuseRequest(head: RequestHead, stream: DownstreamStream, error: CardeaError): void {
    const { recorder, pairOf } = this.#options;
    const refused = { id: recorder.newId(), head, error, local: answerTo(error.code, null), grpcStatus: null };
    answerRefused({ ...refused, startedMs: recorder.nowMs() }, { recorder, pair: pairOf(null), stream });
  }
}

/** One CONNECT: answered once its port is permitted and dialled, and not before. */
class HboneStream implements RequestEvents {
  flow: TcpFlow | null = null;
  readonly #stream: DownstreamStream;
  #isGone = false;

  constructor(stream: DownstreamStream) {
    this.#stream = stream;
  }

  open() {
    this.#stream.sendAnswer(established());
    return this.#stream.detach();
  }

  refuse(error: CardeaError, denialId: string | null): void {
    if (!this.#isGone) sendLocalAnswer(this.#stream, answerTo(error.code, denialId));
  }

  onRequestBody(): void {}

  onRequestEnd(): void {}

  onDownstreamDrain(): void {}

  mayHoldEarlyData(): boolean {
    return true;
  }

  onRequestFailure(error: CardeaError): void {
    this.#isGone = true;
    this.flow?.abandon(error);
  }

  onStalled(): void {
    // Connecting has a time-out of its own.
  }
}

/** Was answered within `begin`. */
const ANSWERED: RequestEvents = {
  onRequestBody: () => {},
  onRequestEnd: () => {},
  onDownstreamDrain: () => {},
  mayHoldEarlyData: () => false,
  onRequestFailure: () => {},
  onStalled: () => {},
};

/** 401 for a denial as ztunnel has it, 404 for a port that is not there; all else as the code says. */
function answerTo(code: ErrorCode, denialId: string | null): LocalAnswer {
  const local = makeLocalAnswer({ code, denialId, method: "CONNECT", isGrpc: false });
  const status = STATUS_OF[code] ?? local.status;
  return { ...local, status, answer: { ...local.answer, status } };
}

const STATUS_OF: Partial<Record<ErrorCode, number>> = {
  "denied-by-policy": 401,
  "permission-lost": 401,
  "no-route": 404,
};

function established(): Answer {
  return { status: 200, reason: "OK", headers: [], framing: { kind: "none" }, isLast: false };
}
