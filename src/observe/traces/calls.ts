import type { Span, SpanService } from "./span.ts";

/** A call of one service to another, as a trace tells of it. */
export interface TraceCall {
  readonly caller: SpanService;
  readonly called: SpanService;
  /** As the called side saw it, where it says so. */
  readonly port: number | null;
  /** Null: the trace does not speak of HTTP. The path is as it was received, without its query. */
  readonly request: { readonly method: string; readonly path: string } | null;
  readonly startMs: number;
  /** The called side's span, and the caller's that it came from. */
  readonly span: Span;
  readonly parent: Span;
}

/**
 * Spans whose parent ran in another service, in the order of their time. What a trace begins with was called by somebody
 * whom it does not name.
 */
export function callsIn(spans: readonly Span[]): { readonly calls: readonly TraceCall[]; readonly begun: number } {
  const byId = new Map(spans.map((span) => [`${span.traceId} ${span.spanId}`, span]));
  let begun = 0;
  const calls = spans.flatMap((span): readonly TraceCall[] => {
    const parent = span.parentSpanId === null ? undefined : byId.get(`${span.traceId} ${span.parentSpanId}`);
    if (parent === undefined) begun += 1;
    if (parent === undefined || isSame(parent.service, span.service)) return [];
    const port = portOf(span.attributes);
    const [caller, called, request] = [parent.service, span.service, requestOf(span, parent)];
    return [{ caller, called, port, request, startMs: span.startMs, span, parent }];
  });
  return { calls: calls.toSorted((a, b) => a.startMs - b.startMs), begun };
}

function isSame(a: SpanService, b: SpanService): boolean {
  return a.name === b.name && a.namespace === b.namespace;
}

/** The called side's word first; then the caller's, which may have seen another path than arrived. */
function requestOf(span: Span, parent: Span): TraceCall["request"] {
  return httpRequest(span.attributes) ?? grpcRequest(span) ?? httpRequest(parent.attributes) ?? grpcRequest(parent);
}

/** OpenTelemetry's attributes, of today and of before 1.21, which Jaeger's clients had as well. */
function httpRequest(attributes: ReadonlyMap<string, string>): TraceCall["request"] {
  const method = attributes.get("http.request.method") ?? attributes.get("http.method");
  if (method === undefined || method === "" || attributes.get("rpc.system") === "grpc") return null;
  const path =
    attributes.get("url.path") ??
    attributes.get("http.target") ??
    pathOf(attributes.get("url.full") ?? attributes.get("http.url")) ??
    routeExample(attributes.get("http.route"));
  return path === null || path === undefined || !path.startsWith("/")
    ? null
    : { method, path: path.replace(/[?#].*$/s, "") };
}

function pathOf(url: string | undefined): string | undefined {
  return url !== undefined && URL.canParse(url) ? new URL(url).pathname : undefined;
}

/** `/users/:id` and `/users/{id}` stand for paths with a value in that place. */
function routeExample(route: string | undefined): string | undefined {
  return route?.replace(/:\w+|\{[^/}]*\}/g, "0");
}

/** gRPC's calls are POST to `/package.Service/Method`; many clients name the span so and say nothing else. */
function grpcRequest({ attributes, name }: Span): TraceCall["request"] {
  const [service, method] = [attributes.get("rpc.service"), attributes.get("rpc.method")];
  if (attributes.get("rpc.system") === "grpc" && service !== undefined && method !== undefined)
    return { method: "POST", path: `/${service}/${method}` };
  const named = /^(?:\/|grpc\.)?((?:\w+\.)+\w+\/\w+)$/.exec(name);
  return named === null ? null : { method: "POST", path: `/${named[1]!}` };
}

function portOf(attributes: ReadonlyMap<string, string>): number | null {
  const text = attributes.get("network.local.port") ?? attributes.get("server.port") ?? attributes.get("net.host.port");
  const port = Number(text);
  return text !== undefined && Number.isInteger(port) && port > 0 && port <= 65_535 ? port : null;
}
