import { type Limit, limit, valuesOf } from "./limits.ts";

/** The bounds of spans on their way to whoever collects them: not every sidecar loads them. */
export const TRACE_LIMIT_TABLE = {
  spanExportBytesMax: limit(
    2_097_152,
    "bytes",
    "Spans of a sidecar that wait for the control plane; more are dropped.",
  ),
  spanExportBatchBytes: limit(65_536, "bytes", "Spans that are kept together."),
  spanExportRequestBytesMax: limit(524_288, "bytes", "Spans in one request to the control plane."),
  spanExportGatherMs: limit(1_000, "ms", "How long spans gather before they are sent."),
  spanExportRetryMs: limit(
    1_000,
    "ms",
    "The first wait after a request that failed; each further one is twice as long.",
  ),
  spanExportRetryMsMax: limit(30_000, "ms", "The longest of them."),
  spanExportDrainMs: limit(2_000, "ms", "How long a sidecar that ends sends what waits."),
  spanForwardBytesMax: limit(
    16_777_216,
    "bytes",
    "Requests with spans that wait in the control plane for the collector outside; sidecars are told to wait beyond it.",
  ),
  spanForwardCallMs: limit(10_000, "ms", "One request to the collector outside; OpenTelemetry's default."),
  tracedRequestsPerSecond: limit(
    10_000,
    "count",
    "The most that `tracing.requestsPerSecond` may say: requests in a second of which a sidecar reports spans.",
  ),
  traceTagsMax: limit(32, "count", "Tags that a Telemetry may put on spans."),
  traceFlowsMax: limit(1_000, "count", "Flow records that `cardea trace` reads of one trace."),
} as const satisfies Record<string, Limit>;

/** The same as plain numbers. */
export const TRACE_LIMITS = valuesOf(TRACE_LIMIT_TABLE);
