import { type CardeaError, ERROR_TABLE } from "../core/errors.ts";
import type { RequestHead } from "../wire/http1-head.ts";
import { type LocalAnswer, makeLocalAnswer, sendLocalAnswer } from "./local-answer.ts";
import { enderOf, type Pair, type Recorder } from "./record.ts";
import type { DownstreamStream } from "./streams.ts";

interface Caller {
  readonly recorder: Recorder;
  readonly pair: Pair;
  readonly stream: DownstreamStream;
}

interface UnreadRequest extends Caller {
  /** As far as it could be read, it is a gRPC call. */
  readonly isGrpc: boolean;
}

/** Answers and records a request whose head could not be read. */
export function refuseUnread(error: CardeaError, { isGrpc, ...caller }: UnreadRequest): void {
  const { recorder } = caller;
  const local = makeLocalAnswer({ code: error.code, denialId: null, method: null, isGrpc });
  const grpcStatus = isGrpc ? ERROR_TABLE[error.code].grpcStatus : null;
  answerRefused({ id: recorder.newId(), head: null, error, local, grpcStatus, startedMs: recorder.nowMs() }, caller);
}

interface RefusedRequest {
  readonly id: string;
  /** Null: it could not be read. */
  readonly head: RequestHead | null;
  readonly error: CardeaError;
  readonly local: LocalAnswer;
  /** Null for what is no gRPC call. */
  readonly grpcStatus: number | null;
  readonly startedMs: number;
}

/** Answers and records a request that goes no further than its head, as the request that it is. */
export function answerRefused(refused: RefusedRequest, { recorder, pair, stream }: Caller): void {
  const { id, head, error, local, grpcStatus, startedMs } = refused;
  recorder.request(
    { head, path: null, status: local.status, trace: null, grpcStatus, requestPrincipal: null },
    {
      id,
      pair,
      grant: null,
      denial: null,
      error,
      startedMs,
      bytesReceived: 0,
      bytesSent: local.body.length,
      endedBy: enderOf(error.code),
      servicePort: null,
      upstreamPort: null,
    },
  );
  sendLocalAnswer(stream, local);
}
