import type { Clock, Random } from "../../core/ports.ts";
import type { TracingChoice, TracingSideChoice } from "../../policy/tracing-choice.ts";
import { createTraceIds } from "../../wire/trace-context.ts";
import type { Tracing } from "../tracing.ts";
import { Allowance } from "./allowance.ts";
import { SpanRecorder, type SpanSink, type TracingSettings } from "./span-recorder.ts";
import { WallTimes } from "./wall-times.ts";

export interface TracingOptions {
  /** Of traces that begin here, in both directions. */
  readonly samplingPercentage: number;
  /** Requests of which spans are made; denials and errors that nobody asked for have as many beside these. */
  readonly requestsPerSecond: number;
  readonly sink: SpanSink;
  readonly clock: Clock;
  readonly random: Random;
}

/** Tracing of a sidecar, whose settings may change. */
export interface OpenTracing extends Tracing {
  readonly client: SpanRecorder;
  readonly server: SpanRecorder;
  /** What documents say of traces from now on; null: nothing. */
  choose(choice: TracingChoice | null): void;
}

export function openTracing(options: TracingOptions): OpenTracing {
  const { samplingPercentage, requestsPerSecond, sink, clock, random } = options;
  const nowMs = (): number => clock.monotonicMs();
  const shared = {
    sink,
    clock,
    times: new WallTimes(clock),
    sampled: new Allowance(requestsPerSecond, nowMs),
    unasked: new Allowance(requestsPerSecond, nowMs),
    ids: createTraceIds(random),
  };
  const settings: TracingSettings = { samplingPercentage, isReporting: true, tags: [] };
  const client = new SpanRecorder(settings, shared);
  const server = new SpanRecorder(settings, shared);
  const chosen = (side: TracingSideChoice | undefined): TracingSettings =>
    side === undefined ? settings : { ...side, samplingPercentage: side.samplingPercentage ?? samplingPercentage };
  return {
    client,
    server,
    choose(choice) {
      client.settings = chosen(choice?.client);
      server.settings = chosen(choice?.server);
    },
  };
}
