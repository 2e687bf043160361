import { CardeaError, ERROR_TABLE, toCardeaError } from "../core/errors.ts";
import type { EndedBy } from "../observe/flow.ts";
import type { Headers } from "../wire/headers.ts";
import { hasBody } from "../wire/http1-body.ts";
import type { RequestHead, ResponseHead } from "../wire/http1-head.ts";
import { nextSpan, type Trace } from "../wire/trace-context.ts";
import type { ExchangeSide, RouteAnswer, SettledAdmission, WaitingAdmission } from "./admission.ts";
import type { AdmissionWait } from "./admission-wait.ts";
import { AnswerPassing } from "./answer-passing.ts";
import type { Denial, Permit } from "./authorize.ts";
import type { Forwarding } from "./forward.ts";
import { grpcStatusIn, isGrpcCall } from "./grpc.ts";
import { HeldBody } from "./held-body.ts";
import type { LocalAnswer } from "./local-answer.ts";
import type { ChannelWaiter, Want } from "./pool.ts";
import { enderOf, type Pair, type RequestSeen } from "./record.ts";
import type { SeenRequest } from "./request-facts.ts";
import type {
  AnswerEvents,
  Channel,
  DownstreamStream,
  OutgoingRequest,
  RequestEvents,
  RequestFate,
  UpstreamStream,
} from "./streams.ts";
import type { NextTry, Tries, TriesOwner, TryFailure } from "./tries.ts";
import type { EarlierTry } from "./tracing.ts";
import { Tunnel } from "./tunnel.ts";
import { asksForUpgrade } from "./upgrade.ts";

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
  trace: Trace | null = null;
  facts: SeenRequest | null = null;
  bytesReceived = 0;
  bytesSent = 0;
  readonly #side: ExchangeSide;
  readonly #downstream: DownstreamStream;
  readonly #startedMs: number;
  readonly #answer: AnswerPassing;
  requestPrincipal: string | null = null;
  #state: State = "deciding";
  #permit: Permit | null = null;
  #denial: Denial | null = null;
  #pair: Pair | null = null;
  #servicePort: number | null = null;
  #request: OutgoingRequest | null = null;
  /** Entries of the request's headers; channels add to them with each try. */
  #headerLength = 0;
  #tries: Tries | null = null;
  #earlier: readonly EarlierTry[] | null = null;
  /** While somebody is asked before it is decided. */
  #wait: AdmissionWait<SettledAdmission> | null = null;
  #routeAnswer: RouteAnswer | null = null;
  #forwarding: Forwarding | null = null;
  #channel: Channel | null = null;
  #upstream: UpstreamStream | null = null;
  #tunnel: Tunnel | null = null;
  /** Null: nothing of the body waits or is kept. */
  #held: HeldBody | null = null;
  #isRequestWhole: boolean;

  constructor(side: ExchangeSide, head: RequestHead, downstream: DownstreamStream) {
    this.#side = side;
    this.head = head;
    this.#downstream = downstream;
    this.#startedMs = side.recorder.nowMs();
    this.#answer = new AnswerPassing({ downstream, ownHeaders: side.ownHeaders, isGrpc: isGrpcCall(head) });
    this.#isRequestWhole = !hasBody(head.framing);
  }

  get status(): number | null {
    return this.#answer.status;
  }
  get grpcStatus(): number | null {
    return this.#answer.grpcStatus;
  }

  /** Decides the request, and either sends it on its way or answers it at once. */
  begin(): void {
    const admission = this.#side.admit(this.head);
    if (admission.at !== "waits") return this.#proceed(admission);
    this.#note(admission);
    this.#wait = admission.wait;
    admission.wait.begin(this);
  }

  onSettled(admission: SettledAdmission): void {
    this.#wait = null;
    this.#proceed(admission);
    if (this.isForwarding) this.#side.onAdmittedLate(this);
  }

  onBodyWanted(): void {
    this.#answer.sendContinueTo(this.head);
    this.#downstream.resumeBody();
  }

  #note({ path, pair, servicePort, trace }: SettledAdmission | WaitingAdmission): void {
    this.path = path;
    this.#pair = pair;
    this.#servicePort = servicePort;
    this.trace = trace;
    this.#side.recorder.began(this, pair);
  }

  #proceed(admission: SettledAdmission): void {
    this.#note(admission);
    if (admission.at === "answered") {
      this.#routeAnswer = admission.answer;
      this.#answerWith(admission.answer.local, this.#side.recorder.newId(), null);
      return;
    }
    this.requestPrincipal = admission.requestPrincipal ?? null;
    if (admission.at === "refused") {
      this.#denial = admission.denial;
      this.#answerLocally(admission.error, admission.answer);
      return;
    }
    this.facts = admission.facts;
    this.#permit = admission.permit;
    this.#request = admission.request;
    this.#headerLength = admission.request.headers.length;
    this.#answer.change = admission.changeAnswer;
    this.#tries = admission.tries;
    this.#state = "waiting";
    if (hasBody(this.head.framing) && admission.tries.bodies !== null) this.#hold().keepIn(admission.tries.bodies);
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
  losePermission(denial: Denial, why = ""): void {
    this.#denial = denial;
    this.#stop(new CardeaError("permission-lost", why));
  }

  onChannel(channel: Channel): void {
    this.#channel = channel;
    this.#state = "open";
    if (this.#side.tlsFrom === "upstream") this.#pair = { ...this.#pair!, tls: channel.tls };
    try {
      this.#upstream = channel.send(this.#request!, this);
    } catch (thrown) {
      // The channel falls idle and is closed in time.
      return this.#stop(toCardeaError(thrown));
    }
    if (this.#held === null || this.#held.sendTo(this.#upstream)) this.#downstream.resumeBody();
  }

  onNoChannel(error: CardeaError): void {
    if (!this.#tryAgain(error, "unprocessed")) this.#answerLocally(error);
  }

  onTimeout(scope: "try" | "request", error: CardeaError): void {
    // A tunnel has time-outs of its own.
    if (this.#state === "done" || this.#state === "tunnel" || (scope === "try" && this.#answer.hasBegun)) return;
    this.#upstream?.abort();
    this.#upstream = null;
    if (scope === "try" && this.#tryAgain(error, "unknown")) return;
    if (scope === "request") this.#tries!.onLastFailure(this.#failure(error, "unknown"));
    this.#stop(error);
  }

  /** Whether the request, whose try has failed, is sent once more. */
  #tryAgain(error: CardeaError, fate: RequestFate): boolean {
    const tries = this.#tries!;
    const mayRepeat = !this.#answer.hasBegun && this.#isBodyInHand();
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
    return this.#channel === null || !hasBody(this.head.framing) || (this.#held !== null && this.#held.isWhole);
  }

  #follow(next: NextTry): void {
    this.#noteTry(next.tries.seen?.retriedFor ?? null);
    this.#forwarding?.release();
    this.#forwarding = null;
    this.#upstream = null;
    this.#permit = next.permit;
    this.#pair = next.pair;
    this.#tries = next.tries;
    this.#request!.headers.length = this.#headerLength;
    // Without a channel so far, all that has come waits in the queue anyway.
    if (this.#channel !== null) this.#held?.sendAgain();
    this.#state = "waiting";
    if (next.waitMs === 0) this.#ask(next.want);
    else next.tries.wait(next.waitMs, () => this.#ask(next.want));
  }

  /** Each try is a span of its own, and tells the next hop so. */
  #noteTry(why: string | null): void {
    const { recorder } = this.#side;
    const times = { startedMs: this.#forwarding!.startedMs, endedMs: recorder.nowMs() };
    const { destination } = this.#pair!;
    this.#earlier = [...(this.#earlier ?? []), { spanId: this.trace!.spanId, ...times, destination, why }];
    this.trace = nextSpan(this.#request!.headers, this.trace!, recorder.newId());
  }

  // The caller.

  onRequestBody(piece: Buffer): void {
    this.bytesReceived += piece.length;
    if (this.#upstream !== null) {
      this.#held?.keep(piece);
      if (!this.#upstream.sendBody(piece)) this.#downstream.pauseBody();
    } else if (this.#state === "waiting" || this.#wait !== null) {
      this.#hold().add(piece);
      if (this.#wait === null || !this.#wait.takeBody(piece)) this.#downstream.pauseBody();
    }
  }

  #hold(): HeldBody {
    return (this.#held ??= new HeldBody());
  }

  onRequestEnd(trailers: Headers): void {
    this.#isRequestWhole = true;
    if (this.#upstream === null || this.#held !== null) this.#hold().end(trailers);
    this.#upstream?.sendEnd(trailers);
    this.#wait?.endBody();
    if (this.#tries?.isWatching === true) this.#tries.onRequestWhole();
  }

  onDownstreamDrain(): void {
    this.#upstream?.resumeAnswer();
  }

  mayHoldEarlyData(): boolean {
    return !asksForUpgrade(this.head);
  }

  onRequestFailure(error: CardeaError): void {
    if (ERROR_TABLE[error.code].httpStatus === 400) return this.#stop(error);
    this.#upstream?.abort();
    this.#finish(error, enderOf(error.code));
  }

  onStalled(): void {
    const code = this.#isRequestWhole ? "upstream-timeout" : "request-timeout";
    this.#stop(new CardeaError(code, "nothing moved for too long"));
  }

  // The upstream.

  onInformational(head: ResponseHead): void {
    this.#answer.sendInformational(head);
  }

  onAnswer(head: ResponseHead): void {
    if (head.status === 101) this.#switchProtocols(head);
    else if (!this.#tries!.isWatching || !this.#isAnsweredAgain(head)) this.#answer.sendHead(head);
    if (this.#answer.hasBegun) this.#held?.drop();
  }

  /** Whether an answer is dropped, and another asked for. */
  #isAnsweredAgain(head: ResponseHead): boolean {
    const grpcStatus = this.#answer.isGrpc ? grpcStatusIn(head.headers) : null;
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
    if (this.#answer.isGrpc) {
      this.#answer.grpcStatus ??= grpcStatusIn(trailers);
      if (this.#tries!.isWatching) this.#tries!.onGrpcStatus(this.grpcStatus);
    }
    // Recorded first: the caller's next request may begin before `sendEnd` returns.
    this.#finish(null, "upstream");
    this.#answer.sendEnd(trailers);
  }

  onUpstreamDrain(): void {
    this.#downstream.resumeBody();
  }

  onUpstreamFailure(error: CardeaError, fate: RequestFate): void {
    this.#upstream = null;
    if (!this.#tryAgain(error, fate)) this.#stop(error);
  }

  #switchProtocols(head: ResponseHead): void {
    if (!asksForUpgrade(this.head) || head.upgrade !== this.head.upgrade) {
      return this.#stop(new CardeaError("upstream-protocol-error", "a switch of protocols that nobody asked for"));
    }
    this.#answer.sendHead(head);
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

  /** Something went wrong: an answer of ours if none has begun, else a cut. */
  #stop(error: CardeaError): void {
    if (this.#state === "done") return;
    this.#upstream?.abort();
    this.#upstream = null;
    if (this.#state === "tunnel") return this.#tunnel!.endNow(error);
    if (!this.#answer.hasBegun) return this.#answerLocally(error);
    this.#finish(error, enderOf(error.code));
    this.#answer.cut(error);
  }

  #answerLocally(error: CardeaError, answer: ((denialId: string) => LocalAnswer) | null = null): void {
    const id = this.#side.recorder.newId();
    const local = answer?.(id) ?? this.#answer.refusalOf(error.code, { id, method: this.head.method });
    this.#answerWith(local, id, error);
  }

  #answerWith(local: LocalAnswer, id: string, error: CardeaError | null): void {
    this.#answer.status = local.status;
    this.bytesSent = local.body.length;
    this.#finishAs(id, error, error === null ? "sidecar" : enderOf(error.code));
    this.#answer.sendLocal(local);
  }

  #finish(error: CardeaError | null, endedBy: EndedBy): void {
    if (this.#state !== "done") this.#finishAs(this.#side.recorder.newId(), error, endedBy);
  }

  #finishAs(id: string, error: CardeaError | null, endedBy: EndedBy): void {
    this.#state = "done";
    this.#wait?.cancel();
    this.#answer.settle(error);
    const sentMs = this.#forwarding?.startedMs ?? null;
    this.#forwarding?.release();
    this.#forwarding = null;
    this.#upstream = null;
    this.#held?.drop();
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
      sentMs,
      earlier: this.#earlier,
    });
    this.#side.onDone(this);
  }
}
