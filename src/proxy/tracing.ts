import type { FlowPeer, FlowRecord } from "../observe/flow.ts";
import type { Trace } from "../wire/trace-context.ts";

// What the data path knows of spans. Who makes them is in spans/, and loaded where somebody wants them.

/** A try that was not the request's last. */
export interface EarlierTry {
  /** What its traceparent said. */
  readonly spanId: string;
  /** By the monotonic clock, as all times here. */
  readonly startedMs: number;
  readonly endedMs: number;
  readonly destination: FlowPeer;
  /** Why there was another: an error's code, an answer's status, or `grpc-` and a gRPC status. Null: nobody said. */
  readonly why: string | null;
}

/** A request's place in its trace, and when it was sent on. */
export interface RequestTimes {
  readonly trace: Trace;
  readonly startedMs: number;
  /** Of the last try; null: it was never sent on. Of a request that is not sampled the first try's is the request's. */
  readonly sentMs: number | null;
  readonly earlier: readonly EarlierTry[];
}

/** Tracing at one side of a sidecar. */
export interface TracingSide {
  /** Whether a trace that nobody has decided about is recorded. */
  isSampled(traceId: string): boolean;
  /** A request is over. Must not throw, block, or keep the caller waiting. */
  request(flow: FlowRecord, times: RequestTimes): void;
}

/** Tracing of a sidecar: as the caller's, and as the called one's. */
export interface Tracing {
  readonly client: TracingSide;
  readonly server: TracingSide;
}
