import { CardeaError, ERROR_TABLE, toCardeaError } from "../core/errors.ts";
import type { EndedBy } from "../observe/flow.ts";
import type { RequestFacts } from "../policy/facts.ts";
import type { Headers } from "../wire/headers.ts";
import { hasBody } from "../wire/http1-body.ts";
import type { RequestHead, ResponseHead } from "../wire/http1-head.ts";
import type { Trace } from "../wire/traceparent.ts";
import type { ExchangeSide, RouteAnswer } from "./admission.ts";
import type { Denial, Permit } from "./authorize.ts";
import type { Forwarding } from "./forward.ts";
import { grpcOutcome, grpcStatusIn, grpcTrailersFor, isGrpcCall } from "./grpc.ts";
import { answerHeadersOf } from "./headers.ts";
import { type LocalAnswer, makeLocalAnswer, sendLocalAnswer } from "./local-answer.ts";
import type { ChannelWaiter, Want } from "./pool.ts";
import { enderOf, isDenial, type Pair, type RequestSeen } from "./record.ts";
import type {
  AnswerEvents,
  Channel,
  DownstreamStream,
  OutgoingRequest,
  RequestEvents,
  RequestFate,
  UpstreamStream,
} from "./streams.ts";
import type { KeptBody } from "./traffic/kept-body.ts";
import type { NextTry, Tries, TriesOwner, TryFailure } from "./tries.ts";
import { Tunnel } from "./tunnel.ts";

/** `waiting`: for a channel. `open`: a request is on its way. `tunnel`: upgraded. `done`: recorded. */
type State = "deciding" | "waiting" | "open" | "tunnel" | "done";

/**
 * One request and its answer, between two connections and whatever protocols they speak: decided, forwarded, answered
 * and recorded once. Bodies pass through without being gathered; whoever reads slowly pauses whoever sends.
 */
export class Exchange implements RequestEvents, AnswerEvents, ChannelWaiter, RequestSeen, TriesOwner {
  readonly head: RequestHead;
  /** Where its side keeps it while it is forwarded; -1: nowhere. */
  place = -1;
  path: string | null = null;
  status: number | null = null;
  trace: Trace | null = null;
  facts: RequestFacts | null = null;
  grpcStatus: number | null = null;
  bytesReceived = 0;
  bytesSent = 0;
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
  /** Entries of the request's headers; channels add to them with each try. */
  #headerLength = 0;
  #tries: Tries | null = null;
  #changeAnswer: ((headers: string[]) => void) | null = null;
  #kept: KeptBody | null = null;
  #routeAnswer: RouteAnswer | null = null;
  #forwarding: Forwarding | null = null;
  #channel: Channel | null = null;
  #upstream: UpstreamStream | null = null;
  #tunnel: Tunnel | null = null;
  /** Body that came before there was a channel: no more than one read. */
  #queue: Buffer[] = [];
  #trailers: Headers | null = null;
  #isAnswerBegun = false;
  #hasLeave = false;
  #endsInTrailers = false;
  #isRequestWhole: boolean;

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
    if (admission.at === "answered") {
      this.#routeAnswer = admission.answer;
      this.#answerWith(admission.answer.local, this.#side.recorder.newId(), null);
      return;
    }
    if (admission.at === "refused") {
      this.#denial = admission.denial;
      this.#answerLocally(admission.error);
      return;
    }
    this.facts = admission.facts;
    this.#permit = admission.permit;
    this.#request = admission.request;
    this.#headerLength = admission.request.headers.length;
    this.#changeAnswer = admission.changeAnswer;
    this.#tries = admission.tries;
    this.#state = "waiting";
    if (!this.#isRequestWhole && admission.tries.bodies !== null) this.#kept = admission.tries.bodies.open();
    try {
      if (admission.tries.isWatching) admission.tries.begin(this, this.#isRequestWhole);
      this.#ask(admission.request.upgrade === null ? "any" : "upgrade");
    } catch (thrown) {
      this.#answerLocally(toCardeaError(thrown));
    }
  }

  #ask(want: Want): void {
    this.#forwarding = this.#side.forward.request(this.#permit!, this);
    this.#forwarding.begin(want);
  }

  get isForwarding(): boolean {
    return this.#state === "waiting" || this.#state === "open" || this.#state === "tunnel";
  }

  /** A new policy denies what was permitted. */
  losePermission(denial: Denial): void {
    this.#denial = denial;
    this.#stop(new CardeaError("permission-lost", "a new policy revision denies the request"));
  }

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
    if (!this.#tryAgain(error, "unprocessed")) this.#answerLocally(error);
  }

  onTimeout(scope: "try" | "request", error: CardeaError): void {
    // A tunnel has time-outs of its own.
    if (this.#state === "done" || this.#state === "tunnel" || (scope === "try" && this.#isAnswerBegun)) return;
    this.#upstream?.abort();
    this.#upstream = null;
    if (scope === "try" && this.#tryAgain(error, "unknown")) return;
    if (scope === "request") this.#tries!.onLastFailure(this.#failure(error, "unknown"));
    this.#stop(error);
  }

  /** Whether the request, whose try has failed, is sent once more. */
  #tryAgain(error: CardeaError, fate: RequestFate): boolean {
    const tries = this.#tries!;
    const mayRepeat = !this.#isAnswerBegun && this.#isBodyInHand();
    const next = mayRepeat ? tries.afterFailure(this.#failure(error, fate)) : null;
    if (next !== null) this.#follow(next);
    else if (tries.isWatching && !mayRepeat) tries.onLastFailure(this.#failure(error, fate));
    return next !== null;
  }

  #failure(error: CardeaError, fate: RequestFate): TryFailure {
    return { head: this.head, error, fate, permit: this.#permit!, pair: this.#pair! };
  }

  /** Whether all that has come of the request's body can be sent again. */
  #isBodyInHand(): boolean {
    return this.#channel === null || !hasBody(this.head.framing) || (this.#kept !== null && this.#kept.isWhole);
  }

  #follow(next: NextTry): void {
    this.#forwarding?.release();
    this.#forwarding = null;
    this.#upstream = null;
    this.#permit = next.permit;
    this.#pair = next.pair;
    this.#tries = next.tries;
    this.#request!.headers.length = this.#headerLength;
    // Without a channel so far, all that has come waits in the queue anyway.
    if (this.#channel !== null && this.#kept !== null) this.#queue = this.#kept.pieces();
    this.#state = "waiting";
    if (next.waitMs === 0) this.#ask(next.want);
    else next.tries.wait(next.waitMs, () => this.#ask(next.want));
  }

  // The caller.

  onRequestBody(piece: Buffer): void {
    this.bytesReceived += piece.length;
    this.#kept?.keep(piece);
    if (this.#upstream !== null) {
      if (!this.#upstream.sendBody(piece)) this.#downstream.pauseBody();
    } else if (this.#state === "waiting") {
      this.#queue.push(piece);
      this.#downstream.pauseBody();
    }
  }

  onRequestEnd(trailers: Headers): void {
    this.#isRequestWhole = true;
    if (this.#upstream === null || this.#kept !== null) this.#trailers = trailers;
    this.#upstream?.sendEnd(trailers);
    if (this.#tries?.isWatching === true) this.#tries.onRequestWhole();
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
    // A try that is made again asks for leave again; the caller, who has it, is not to send its body twice.
    if (status === 100 && this.#hasLeave) return;
    this.#hasLeave ||= status === 100;
    this.#downstream.sendInformational({ status, reason, headers: answerHeadersOf(head, this.#side.ownHeaders) });
  }

  onAnswer(head: ResponseHead): void {
    if (head.status === 101) this.#switchProtocols(head);
    else if (!this.#tries!.isWatching || !this.#isAnsweredAgain(head)) this.#sendHead(head);
  }

  /** Whether an answer is dropped, and another asked for. */
  #isAnsweredAgain(head: ResponseHead): boolean {
    const grpcStatus = this.#isGrpc ? grpcStatusIn(head.headers) : null;
    // What can't be repeated is told all the same: it counts for the workload's health.
    const sent = { permit: this.#permit!, pair: this.#pair!, mayRepeat: this.#isBodyInHand() };
    const next = this.#tries!.afterAnswer(head, { ...sent, grpcStatus });
    if (next === null) return false;
    this.#upstream!.abort();
    this.#follow(next);
    return true;
  }

  onAnswerBody(piece: Buffer): void {
    this.bytesSent += piece.length;
    if (!this.#downstream.sendBody(piece)) this.#upstream!.pauseAnswer();
  }

  onAnswerEnd(trailers: Headers): void {
    if (this.#isGrpc) {
      this.grpcStatus ??= grpcStatusIn(trailers);
      if (this.#tries!.isWatching) this.#tries!.onGrpcStatus(this.grpcStatus);
    }
    // Recorded first: the caller's next request may begin before `sendEnd` returns.
    this.#finish(null, "upstream");
    this.#downstream.sendEnd(trailers);
  }

  onUpstreamDrain(): void {
    this.#downstream.resumeBody();
  }

  onUpstreamFailure(error: CardeaError, fate: RequestFate): void {
    this.#upstream = null;
    if (!this.#tryAgain(error, fate)) this.#stop(error);
  }

  #sendHead(head: ResponseHead): void {
    const { status, reason, framing, neverIndexed = null } = head;
    this.#isAnswerBegun = true;
    this.#kept?.drop();
    this.status = status;
    if (this.#isGrpc) this.grpcStatus = grpcStatusIn(head.headers);
    this.#endsInTrailers = this.#isGrpc && framing.kind === "chunked";
    const headers = answerHeadersOf(head, this.#side.ownHeaders);
    this.#changeAnswer?.(headers);
    if (head.upgrade !== null) headers.push("upgrade", head.upgrade);
    this.#downstream.sendAnswer({ status, reason, headers, framing, isLast: false, neverIndexed });
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
        this.bytesReceived = this.#tunnel!.bytesReceived;
        this.bytesSent = this.#tunnel!.bytesSent;
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
    // A gRPC caller learns of a lost permission as of any: by the call's status.
    if (this.#endsInTrailers && error.code === "permission-lost") this.#downstream.sendEnd(grpcTrailersFor(error.code));
    else this.#downstream.abort(error);
  }

  #answerLocally(error: CardeaError): void {
    const id = this.#side.recorder.newId();
    const local = makeLocalAnswer({
      code: error.code,
      denialId: isDenial(error.code) ? id : null,
      method: this.head.method,
      isGrpc: this.#isGrpc,
    });
    this.#answerWith(local, id, error);
  }

  #answerWith(local: LocalAnswer, id: string, error: CardeaError | null): void {
    this.#isAnswerBegun = true;
    this.status = local.status;
    this.bytesSent = local.body.length;
    this.#finishAs(id, error, error === null ? "sidecar" : enderOf(error.code));
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
    this.#kept?.drop();
    if (this.#tries?.isWatching === true) this.#tries.onDone();
    this.#side.recorder.request(this, {
      id,
      pair: this.#pair!,
      grant: this.#permit?.grant ?? this.#routeAnswer?.grant ?? null,
      denial: this.#denial,
      error,
      startedMs: this.#startedMs,
      bytesReceived: this.bytesReceived,
      bytesSent: this.bytesSent,
      endedBy,
      servicePort: this.#servicePort,
      upstreamPort: this.#channel?.localPort ?? null,
      tries: this.#tries?.seen ?? this.#routeAnswer?.seen ?? null,
    });
    this.#side.onDone(this);
  }
}
