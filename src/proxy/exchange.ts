import { CardeaError, ERROR_TABLE, toCardeaError } from "../core/errors.ts";
import type { EndedBy } from "../observe/flow.ts";
import type { RequestFacts } from "../policy/facts.ts";
import type { Headers } from "../wire/headers.ts";
import { hasBody } from "../wire/http1-body.ts";
import type { RequestHead, ResponseHead } from "../wire/http1-head.ts";
import type { Trace } from "../wire/traceparent.ts";
import type { Denial, Permit } from "./authorize.ts";
import type { Forward, Forwarding } from "./forward.ts";
import { grpcOutcome, grpcStatusIn, isGrpcCall } from "./grpc.ts";
import { answerHeadersOf } from "./headers.ts";
import { makeLocalAnswer, sendLocalAnswer } from "./local-answer.ts";
import type { ChannelWaiter } from "./pool.ts";
import { enderOf, isDenial, type Pair, type Recorder, type RequestSeen } from "./record.ts";
import type {
  AnswerEvents,
  Channel,
  DownstreamStream,
  OutgoingRequest,
  RequestEvents,
  UpstreamStream,
} from "./streams.ts";
import { Tunnel } from "./tunnel.ts";
import type { LiveConnections } from "./live.ts";

/** What a side (inbound or outbound) makes of a request head. */
export type Admission =
  | {
      readonly at: "admitted";
      readonly permit: Permit;
      readonly request: OutgoingRequest;
      /** What was decided on, for a later policy; null where no policy decides. */
      readonly facts: RequestFacts | null;
      /** Null where none is worked out: the head's own then stands in the record. */
      readonly path: string | null;
      readonly pair: Pair;
      readonly servicePort: number | null;
      readonly trace: Trace;
    }
  | {
      readonly at: "refused";
      readonly error: CardeaError;
      readonly denial: Denial | null;
      readonly path: string | null;
      readonly pair: Pair;
      readonly servicePort: number | null;
      /** A refusal has its place in the caller's trace, too. */
      readonly trace: Trace;
    };

/** The side that a request is on: decides it, and knows who takes part. */
export interface ExchangeSide {
  readonly recorder: Recorder;
  readonly forward: Forward;
  readonly live: LiveConnections;
  /** Whether `x-cardea-` fields of an answer may pass: only another sidecar's. */
  readonly ownHeaders: "pass" | "strip";
  /** Whose TLS the record tells of: the caller's on the inbound side, the upstream's on the outbound side. */
  readonly tlsFrom: "downstream" | "upstream";
  admit(head: RequestHead): Admission;
  /** The exchange is over. */
  onDone(exchange: Exchange): void;
}

/** `waiting`: for a channel. `open`: a request is on its way. `tunnel`: upgraded. `done`: recorded. */
type State = "deciding" | "waiting" | "open" | "tunnel" | "done";

/**
 * One request and its answer, between two connections and whatever protocols they speak: decided, forwarded, answered
 * and recorded once. Bodies pass through without being gathered; whoever reads slowly pauses whoever sends.
 */
export class Exchange implements RequestEvents, AnswerEvents, ChannelWaiter, RequestSeen {
  readonly head: RequestHead;
  path: string | null = null;
  status: number | null = null;
  trace: Trace | null = null;
  facts: RequestFacts | null = null;
  grpcStatus: number | null = null;
  readonly #side: ExchangeSide;
  readonly #downstream: DownstreamStream;
  readonly #startedMs: number;
  readonly #isGrpc: boolean;
  #state: State = "deciding";
  #permit: Permit | null = null;
  #denial: Denial | null = null;
  #pair: Pair | null = null;
  #servicePort: number | null = null;
  #request: OutgoingRequest | null = null;
  #forwarding: Forwarding | null = null;
  #channel: Channel | null = null;
  #upstream: UpstreamStream | null = null;
  #tunnel: Tunnel | null = null;
  /** Body that came before there was a channel: no more than one read. */
  #queue: Buffer[] = [];
  #trailers: Headers | null = null;
  #isAnswerBegun = false;
  #mayRetry = false;
  #isRequestWhole: boolean;
  #bytesReceived = 0;
  #bytesSent = 0;

  constructor(side: ExchangeSide, head: RequestHead, downstream: DownstreamStream) {
    this.#side = side;
    this.head = head;
    this.#downstream = downstream;
    this.#startedMs = side.recorder.nowMs();
    this.#isGrpc = isGrpcCall(head);
    this.#isRequestWhole = !hasBody(head.framing);
  }

  /** Decides the request, and either sends it on its way or answers it at once. */
  begin(): void {
    const admission = this.#side.admit(this.head);
    this.path = admission.path;
    this.#pair = admission.pair;
    this.#servicePort = admission.servicePort;
    this.trace = admission.trace;
    if (admission.at === "refused") {
      this.#denial = admission.denial;
      this.#answerLocally(admission.error);
      return;
    }
    this.facts = admission.facts;
    this.#permit = admission.permit;
    this.#request = admission.request;
    this.#mayRetry = isRepeatable(this.head);
    this.#state = "waiting";
    this.#forwarding = this.#side.forward.request(admission.permit, this);
    this.#forwarding.begin(admission.request.upgrade === null ? "any" : "upgrade");
  }

  get isForwarding(): boolean {
    return this.#state === "waiting" || this.#state === "open" || this.#state === "tunnel";
  }

  /** A new policy denies what was permitted. */
  losePermission(denial: Denial): void {
    this.#denial = denial;
    this.#stop(new CardeaError("permission-lost", "a new policy revision denies the request"));
  }

  // The channel.

  onChannel(channel: Channel): void {
    this.#channel = channel;
    this.#state = "open";
    if (this.#side.tlsFrom === "upstream") this.#pair = { ...this.#pair!, tls: channel.tls };
    const upstream = this.#send(channel);
    if (upstream === null) return;
    const queue = this.#queue;
    this.#queue = [];
    let isTaken = true;
    for (const piece of queue) isTaken = upstream.sendBody(piece);
    if (this.#trailers !== null) upstream.sendEnd(this.#trailers);
    else if (isTaken) this.#downstream.resumeBody();
  }

  #send(channel: Channel): UpstreamStream | null {
    try {
      this.#upstream = channel.send(this.#request!, this);
    } catch (thrown) {
      // The channel falls idle and is closed in time.
      this.#stop(toCardeaError(thrown));
    }
    return this.#upstream;
  }

  onNoChannel(error: CardeaError): void {
    this.#answerLocally(error);
  }

  // The caller.

  onRequestBody(piece: Buffer): void {
    this.#bytesReceived += piece.length;
    if (this.#upstream !== null) {
      if (!this.#upstream.sendBody(piece)) this.#downstream.pauseBody();
    } else if (this.#state === "waiting") {
      this.#queue.push(piece);
      this.#downstream.pauseBody();
    }
  }

  onRequestEnd(trailers: Headers): void {
    this.#isRequestWhole = true;
    if (this.#upstream === null) this.#trailers = trailers;
    else this.#upstream.sendEnd(trailers);
  }

  onDownstreamDrain(): void {
    this.#upstream?.resumeAnswer();
  }

  mayHoldEarlyData(): boolean {
    return !this.#asksForUpgrade();
  }

  onRequestFailure(error: CardeaError): void {
    if (ERROR_TABLE[error.code].httpStatus === 400) this.#stop(error);
    else {
      this.#upstream?.abort();
      this.#finish(error, enderOf(error.code));
    }
  }

  onStalled(): void {
    const code = this.#isRequestWhole ? "upstream-timeout" : "request-timeout";
    this.#stop(new CardeaError(code, "nothing moved for too long"));
  }

  // The upstream.

  onInformational(head: ResponseHead): void {
    const { status, reason } = head;
    this.#downstream.sendInformational({ status, reason, headers: answerHeadersOf(head, this.#side.ownHeaders) });
  }

  onAnswer(head: ResponseHead): void {
    if (head.status === 101) {
      this.#switchProtocols(head);
      return;
    }
    this.#sendHead(head);
  }

  onAnswerBody(piece: Buffer): void {
    this.#bytesSent += piece.length;
    if (!this.#downstream.sendBody(piece)) this.#upstream!.pauseAnswer();
  }

  onAnswerEnd(trailers: Headers): void {
    if (this.#isGrpc) this.grpcStatus ??= grpcStatusIn(trailers);
    // Recorded first: the caller's next request may begin before `sendEnd` returns.
    this.#finish(null, "upstream");
    this.#downstream.sendEnd(trailers);
  }

  onUpstreamDrain(): void {
    this.#downstream.resumeBody();
  }

  onUpstreamFailure(error: CardeaError, isStale: boolean): void {
    this.#upstream = null;
    if (isStale && this.#mayRetry && !this.#isAnswerBegun) {
      // A kept-alive connection was closed while our request was on its way to it.
      this.#mayRetry = false;
      this.#forwarding?.release();
      this.#state = "waiting";
      this.#forwarding = this.#side.forward.request(this.#permit!, this);
      this.#forwarding.begin("fresh");
      return;
    }
    this.#stop(error);
  }

  #sendHead(head: ResponseHead): void {
    const { status, reason, framing } = head;
    this.#isAnswerBegun = true;
    this.status = status;
    if (this.#isGrpc) this.grpcStatus = grpcStatusIn(head.headers);
    const headers = answerHeadersOf(head, this.#side.ownHeaders);
    if (head.upgrade !== null) headers.push("upgrade", head.upgrade);
    this.#downstream.sendAnswer({ status, reason, headers, framing, isLast: false, ignoresBody: false });
  }

  #switchProtocols(head: ResponseHead): void {
    if (!this.#asksForUpgrade() || head.upgrade !== this.head.upgrade) {
      this.#stop(new CardeaError("upstream-protocol-error", "the upstream switches to a protocol nobody asked for"));
      return;
    }
    this.#sendHead(head);
    const upstream = this.#upstream!.detach();
    this.#upstream = null;
    this.#state = "tunnel";
    this.#tunnel = new Tunnel(this.#downstream.detach(), upstream, {
      live: this.#side.live,
      onEnd: (error, endedBy) => {
        this.#bytesReceived = this.#tunnel!.bytesReceived;
        this.#bytesSent = this.#tunnel!.bytesSent;
        this.#finish(error, endedBy);
      },
    });
    this.#tunnel.begin();
  }

  #asksForUpgrade(): boolean {
    return this.#request !== null && this.#request.upgrade !== null;
  }

  /** Something went wrong: an answer of ours if none has begun, else a cut. */
  #stop(error: CardeaError): void {
    if (this.#state === "done") return;
    this.#upstream?.abort();
    this.#upstream = null;
    if (this.#state === "tunnel") {
      this.#tunnel!.endNow(error);
      return;
    }
    if (!this.#isAnswerBegun) {
      this.#answerLocally(error);
      return;
    }
    this.#finish(error, enderOf(error.code));
    this.#downstream.abort(error);
  }

  #answerLocally(error: CardeaError): void {
    const id = this.#side.recorder.newId();
    const local = makeLocalAnswer({
      code: error.code,
      denialId: isDenial(error.code) ? id : null,
      method: this.head.method,
      isGrpc: this.#isGrpc,
    });
    this.#isAnswerBegun = true;
    this.status = local.status;
    this.#bytesSent = local.body.length;
    this.#finishAs(id, error, enderOf(error.code));
    sendLocalAnswer(this.#downstream, local);
  }

  #finish(error: CardeaError | null, endedBy: EndedBy): void {
    if (this.#state !== "done") this.#finishAs(this.#side.recorder.newId(), error, endedBy);
  }

  #finishAs(id: string, error: CardeaError | null, endedBy: EndedBy): void {
    this.#state = "done";
    if (this.#isGrpc) this.grpcStatus = grpcOutcome(error === null ? this.grpcStatus : null, error?.code ?? null);
    this.#forwarding?.release();
    this.#forwarding = null;
    this.#upstream = null;
    this.#side.recorder.request(this, {
      id,
      pair: this.#pair!,
      grant: this.#permit?.grant ?? null,
      denial: this.#denial,
      error,
      startedMs: this.#startedMs,
      bytesReceived: this.#bytesReceived,
      bytesSent: this.#bytesSent,
      endedBy,
      servicePort: this.#servicePort,
      upstreamPort: this.#channel?.localPort ?? null,
    });
    this.#side.onDone(this);
  }
}

/** Methods that may be sent twice (RFC 9110 section 9.2.2), with nothing to send but the head. */
function isRepeatable(head: RequestHead): boolean {
  return REPEATABLE.has(head.method) && head.framing.kind === "none" && head.upgrade === null;
}

const REPEATABLE: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]);
