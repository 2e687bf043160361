import type { CardeaError, ErrorCode } from "../core/errors.ts";
import type { Headers } from "../wire/headers.ts";
import type { RequestHead, ResponseHead } from "../wire/http1-head.ts";
import { grpcOutcome, grpcStatusIn, grpcTrailersFor } from "./grpc.ts";
import { answerHeadersOf } from "./headers.ts";
import { type LocalAnswer, makeLocalAnswer, sendLocalAnswer } from "./local-answer.ts";
import { isDenial } from "./record.ts";
import type { DownstreamStream } from "./streams.ts";

interface AnswerPassingOptions {
  readonly downstream: DownstreamStream;
  readonly ownHeaders: "pass" | "strip";
  readonly isGrpc: boolean;
}

/** The answer to one request on its way to the caller: the upstream's, or one of ours. */
export class AnswerPassing {
  /** Null: none has begun. */
  status: number | null = null;
  grpcStatus: number | null = null;
  readonly isGrpc: boolean;
  /** What a traffic rule makes of its fields; null: nothing. */
  change: ((headers: string[]) => void) | null = null;
  readonly #downstream: DownstreamStream;
  readonly #ownHeaders: "pass" | "strip";
  #hasLeave = false;
  #endsInTrailers = false;

  constructor({ downstream, ownHeaders, isGrpc }: AnswerPassingOptions) {
    this.#downstream = downstream;
    this.#ownHeaders = ownHeaders;
    this.isGrpc = isGrpc;
  }

  get hasBegun(): boolean {
    return this.status !== null;
  }

  sendInformational(head: ResponseHead): void {
    const { status, reason } = head;
    // A try that is made again asks for leave again; the caller, who has it, is not to send its body twice.
    if (status === 100 && this.#hasLeave) return;
    this.#hasLeave ||= status === 100;
    this.#downstream.sendInformational({ status, reason, headers: answerHeadersOf(head, this.#ownHeaders) });
  }

  /** Leave of ours to send the body, which somebody here has to see. */
  sendContinueTo({ expectsContinue }: RequestHead): void {
    if (!expectsContinue || this.#hasLeave) return;
    this.#hasLeave = true;
    this.#downstream.sendInformational({ status: 100, reason: "Continue", headers: [] });
  }

  sendHead(head: ResponseHead): void {
    const { status, reason, framing, neverIndexed = null } = head;
    this.status = status;
    if (this.isGrpc) this.grpcStatus = grpcStatusIn(head.headers);
    this.#endsInTrailers = this.isGrpc && framing.kind === "chunked";
    const headers = answerHeadersOf(head, this.#ownHeaders);
    this.change?.(headers);
    if (head.upgrade !== null) headers.push("upgrade", head.upgrade);
    this.#downstream.sendAnswer({ status, reason, headers, framing, isLast: false, neverIndexed });
  }

  /** Of ours, for an error of the request whose record has the id. */
  refusalOf(code: ErrorCode, { id, method }: { readonly id: string; readonly method: string }): LocalAnswer {
    return makeLocalAnswer({ code, denialId: isDenial(code) ? id : null, method, isGrpc: this.isGrpc });
  }

  /** All of an answer of ours. */
  sendLocal(local: LocalAnswer): void {
    sendLocalAnswer(this.#downstream, local);
  }

  sendEnd(trailers: Headers): void {
    this.#downstream.sendEnd(trailers);
  }

  /** It will not be whole. */
  cut(error: CardeaError): void {
    // A gRPC caller learns of a lost permission as of any: by the call's status.
    if (this.#endsInTrailers && error.code === "permission-lost") this.sendEnd(grpcTrailersFor(error.code));
    else this.#downstream.abort(error);
  }

  /** The request is over: how its gRPC call has ended. */
  settle(error: CardeaError | null): void {
    if (this.isGrpc) this.grpcStatus = grpcOutcome(error === null ? this.grpcStatus : null, error?.code ?? null);
  }
}
