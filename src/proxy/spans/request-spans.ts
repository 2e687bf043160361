import { type FlowPeer, type FlowRecord, FLOW_FIELDS } from "../../observe/flow.ts";
import { responseFlagOf } from "../../observe/flow-labels.ts";
import type { ProxySpan, SpanAttributes, SpanEvent } from "../../observe/otlp-span.ts";
import type { TraceIds } from "../../wire/trace-context.ts";
import type { EarlierTry, RequestTimes } from "../tracing.ts";

/** Why a request's spans are reported. `caller`: it said so. `denial`, `error`: nobody had asked for them. */
export type SampledBy = "caller" | "ratio" | "denial" | "error";

export interface SpanMaking {
  readonly sampledBy: SampledBy;
  /** What makes wall time of monotonic time. */
  readonly offsetMs: number;
  readonly nowMs: number;
  /** Fresh ones. */
  readonly ids: Pick<TraceIds, "spanId">;
  /** Of settings, put on each span. */
  readonly tags: SpanAttributes;
}

/**
 * The spans of a request that is over, as one sidecar saw it: SERVER for what it was asked, and CLIENT for each time that
 * it sent it on. Names and meanings are OpenTelemetry's (semantic conventions 1.3x for HTTP and RPC), and the flow record's
 * for what these lack. The span that was told to the next hop is the flow record's, too.
 */
export function requestSpans(flow: FlowRecord, times: RequestTimes, making: SpanMaking): readonly ProxySpan[] {
  const { trace, sentMs, earlier } = times;
  // What was never sent on has one span, which is the record's.
  const serverId = sentMs === null ? trace.spanId : making.ids.spanId();
  const server = serverSpan(flow, times, { ...making, spanId: serverId });
  if (sentMs === null) return [server];
  const each = { flow, times, making, parentSpanId: serverId };
  return [server, ...earlier.map((one, index) => earlierSpan(one, index, each)), lastSpan(sentMs, each)];
}

interface Making extends SpanMaking {
  readonly spanId: string;
}

function serverSpan(flow: FlowRecord, { trace, startedMs }: RequestTimes, making: Making): ProxySpan {
  const { offsetMs, nowMs, spanId } = making;
  const failure = serverFailure(flow);
  return {
    traceId: trace.traceId,
    spanId,
    parentSpanId: trace.parentId,
    isParentRemote: true,
    isSampled: trace.isSampled,
    name: nameOf(flow),
    kind: "server",
    startMs: startedMs + offsetMs,
    endMs: nowMs + offsetMs,
    attributes: [
      ...askedAttributes(flow),
      ["url.path", flow.path],
      ["url.scheme", "http"],
      ["client.address", flow.remoteIp],
      ["network.peer.address", flow.source.ip],
      ["network.peer.port", flow.source.port],
      ...answeredAttributes(flow.status, flow.grpcStatus),
      ["error.type", failure],
      ...partners(flow),
      ...decided(flow),
      ["cardea.sampled_by", making.sampledBy],
      ...making.tags,
    ],
    failure: failure === null ? null : (flow.detail ?? failure),
    events: isRefused(flow) ? [denialEvent(flow, nowMs + offsetMs)] : [],
  };
}

interface ClientMaking {
  readonly flow: FlowRecord;
  readonly times: RequestTimes;
  readonly making: SpanMaking;
  readonly parentSpanId: string;
}

function earlierSpan(one: EarlierTry, index: number, each: ClientMaking): ProxySpan {
  const status = one.why !== null && /^\d{3}$/.test(one.why) ? Number(one.why) : null;
  const grpc = one.why?.startsWith("grpc-") === true ? Number(one.why.slice(5)) : null;
  return clientSpan(each, {
    ...one,
    index,
    failure: one.why ?? "unknown",
    answered: answeredAttributes(status, grpc),
  });
}

function lastSpan(startedMs: number, each: ClientMaking): ProxySpan {
  const { flow, times, making } = each;
  return clientSpan(each, {
    spanId: times.trace.spanId,
    startedMs,
    endedMs: making.nowMs,
    destination: flow.destination,
    index: times.earlier.length,
    failure: clientFailure(flow),
    answered: answeredAttributes(flow.verdict === "error" ? null : flow.status, flow.grpcStatus),
  });
}

interface OneTry extends Omit<EarlierTry, "why"> {
  readonly index: number;
  readonly failure: string | null;
  readonly answered: SpanAttributes;
}

function clientSpan({ flow, times, making, parentSpanId }: ClientMaking, one: OneTry): ProxySpan {
  const { trace } = times;
  const { destination, failure } = one;
  return {
    traceId: trace.traceId,
    spanId: one.spanId,
    parentSpanId,
    isParentRemote: false,
    isSampled: trace.isSampled,
    name: nameOf(flow),
    kind: "client",
    startMs: one.startedMs + making.offsetMs,
    endMs: one.endedMs + making.offsetMs,
    attributes: [
      ...askedAttributes(flow),
      ["url.full", flow.host === null || flow.path === null ? null : `http://${flow.host}${flow.path}`],
      ["network.peer.address", destination.ip],
      ["network.peer.port", destination.port],
      ...one.answered,
      ["http.request.resend_count", one.index === 0 ? null : one.index],
      ["error.type", failure],
      ...partners({ ...flow, destination }),
      ...making.tags,
    ],
    failure,
    events: [],
  };
}

/** Low in number: a method, or a gRPC method; a path may be anything. */
function nameOf(flow: FlowRecord): string {
  const call = grpcCallOf(flow);
  if (call !== null) return `${call.service}/${call.method}`;
  return flow.method !== null && KNOWN_METHODS.has(flow.method) ? flow.method : "HTTP";
}

function askedAttributes(flow: FlowRecord): SpanAttributes {
  const { method, host, servicePort, destination } = flow;
  const isKnown = method === null || KNOWN_METHODS.has(method);
  const call = grpcCallOf(flow);
  return [
    ["http.request.method", isKnown ? method : "_OTHER"],
    ["http.request.method_original", isKnown ? null : method],
    ["server.address", host === null ? null : host.replace(/:\d{1,5}$/, "")],
    ["server.port", servicePort ?? destination.port],
    ["rpc.system", call === null ? null : "grpc"],
    ["rpc.service", call?.service ?? null],
    ["rpc.method", call?.method ?? null],
  ];
}

function answeredAttributes(status: number | null, grpcStatus: number | null): SpanAttributes {
  return [
    ["http.response.status_code", status],
    ["rpc.grpc.status_code", grpcStatus],
  ];
}

/** Of both sides what their certificates prove, and what the registry says of them. */
function partners(flow: FlowRecord): SpanAttributes {
  return [
    ...peer("source", flow.source),
    ...peer("destination", flow.destination),
    ["tls.protocol.version", flow.tls.version],
    ["tls.curve", flow.tls.group],
  ];
}

function peer(side: "source" | "destination", { principal, namespace, workload, service }: FlowPeer): SpanAttributes {
  return [
    [FLOW_FIELDS[`${side}.principal`].otel, principal],
    [FLOW_FIELDS[`${side}.namespace`].otel, namespace],
    [FLOW_FIELDS[`${side}.workload`].otel, workload],
    [FLOW_FIELDS[`${side}.service`].otel, service],
  ];
}

function decided(flow: FlowRecord): SpanAttributes {
  const flags = responseFlagOf(flow.verdict, flow.reason);
  return [
    ...DECIDED.map((name) => [FLOW_FIELDS[name].otel, flow[name]] as const),
    ["cardea.response_flags", flags === "-" ? null : flags],
  ];
}

/** `id` is what leads from the span to the flow record, and to `cardea explain`. */
const DECIDED = [
  "id",
  "reporter",
  "verdict",
  "reason",
  "policy",
  "rule",
  "revision",
  "ticket",
  "auditedBy",
  "dryRun",
  "dryRunBy",
  "route",
  "requestPrincipal",
  "bytesReceived",
  "bytesSent",
  "endedBy",
] as const satisfies readonly (keyof FlowRecord)[];

function isRefused({ verdict }: FlowRecord): boolean {
  return verdict === "denied" || verdict === "would-deny";
}

function denialEvent(flow: FlowRecord, timeMs: number): SpanEvent {
  return {
    name: "cardea.denial",
    timeMs,
    attributes: [
      [FLOW_FIELDS.id.otel, flow.id],
      [FLOW_FIELDS.reason.otel, flow.reason],
      [FLOW_FIELDS.policy.otel, flow.policy],
      [FLOW_FIELDS.rule.otel, flow.rule],
      [FLOW_FIELDS.revision.otel, flow.revision],
      ["cardea.explain", `cardea explain ${flow.id}`],
    ],
  };
}

/** Whose fault it is not, has not failed as a server: 4xx, and gRPC's like of it. Null: it has not failed. */
function serverFailure({ status, grpcStatus, verdict, reason }: FlowRecord): string | null {
  if (grpcStatus !== null) return SERVER_GRPC_FAILURES.has(grpcStatus) ? `${grpcStatus}` : null;
  if (verdict === "error" && (status === null || status >= 500)) return reason;
  return status !== null && status >= 500 ? `${status}` : null;
}

function clientFailure({ status, grpcStatus, verdict, reason }: FlowRecord): string | null {
  if (grpcStatus !== null && grpcStatus !== 0) return `${grpcStatus}`;
  if (verdict === "error") return reason;
  return status !== null && status >= 400 ? `${status}` : null;
}

/** UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS. */
const SERVER_GRPC_FAILURES: ReadonlySet<number> = new Set([2, 4, 12, 13, 14, 15]);

/** RFC 9110, PATCH of RFC 5789 and QUERY. Others would let callers make names without end. */
const KNOWN_METHODS: ReadonlySet<string> = new Set([
  "CONNECT",
  "DELETE",
  "GET",
  "HEAD",
  "OPTIONS",
  "PATCH",
  "POST",
  "PUT",
  "QUERY",
  "TRACE",
]);

function grpcCallOf({ grpcStatus, path }: FlowRecord): { readonly service: string; readonly method: string } | null {
  const match =
    grpcStatus === null || path === null ? null : /^\/([A-Za-z0-9_.]{1,200})\/([A-Za-z0-9_]{1,100})$/.exec(path);
  return match === null ? null : { service: match[1]!, method: match[2]! };
}
