import { type CardeaError, ERROR_TABLE } from "../core/errors.ts";
import { makeLocalAnswer, sendLocalAnswer } from "./local-answer.ts";
import { enderOf, type Pair, type Recorder } from "./record.ts";
import type { DownstreamStream } from "./streams.ts";

/** Answers and records a request whose head could not be read. */
export function refuseUnread(error: CardeaError, { recorder, pair, stream, isGrpc }: UnreadRequest): void {
  const local = makeLocalAnswer({ code: error.code, denialId: null, method: null, isGrpc });
  const grpcStatus = isGrpc ? ERROR_TABLE[error.code].grpcStatus : null;
  recorder.request(
    { head: null, path: null, status: local.status, trace: null, grpcStatus },
    {
      id: recorder.newId(),
      pair,
      grant: null,
      denial: null,
      error,
      startedMs: recorder.nowMs(),
      bytesReceived: 0,
      bytesSent: local.body.length,
      endedBy: enderOf(error.code),
      servicePort: null,
      upstreamPort: null,
    },
  );
  sendLocalAnswer(stream, local);
}

interface UnreadRequest {
  readonly recorder: Recorder;
  readonly pair: Pair;
  readonly stream: DownstreamStream;
  /** As far as it could be read, it is a gRPC call. */
  readonly isGrpc: boolean;
}
