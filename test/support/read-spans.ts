import { loadSync, type MessageTypeDefinition } from "@grpc/proto-loader";

// Spans as a library reads them, in a form that tests can compare.

const FILES = ["opentelemetry/proto/collector/trace/v1/trace_service.proto"];
const DEFINITIONS = loadSync(FILES, { longs: String, enums: String, oneofs: true, includeDirs: ["src/api/proto"] });

interface Value {
  readonly stringValue?: string;
  readonly intValue?: string;
  readonly doubleValue?: number;
}
interface KeyValue {
  readonly key: string;
  readonly value: Value;
}
interface RawSpan {
  readonly traceId: Buffer;
  readonly spanId: Buffer;
  readonly parentSpanId?: Buffer;
  readonly flags: number;
  readonly name: string;
  readonly kind: string;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes?: readonly KeyValue[];
  readonly events?: readonly { readonly name: string; readonly attributes?: readonly KeyValue[] }[];
  readonly status?: { readonly code?: string; readonly message?: string };
}

export interface ReadSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | null;
  readonly flags: number;
  readonly name: string;
  readonly kind: "SERVER" | "CLIENT";
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Readonly<Record<string, string | number>>;
  readonly events: readonly { readonly name: string; readonly attributes: Readonly<Record<string, string | number>> }[];
  readonly error: string | null;
}

/** One `opentelemetry.proto.trace.v1.Span`. */
export function readSpan(bytes: Buffer): ReadSpan {
  return toSpan(codec("opentelemetry.proto.trace.v1.Span").deserialize(bytes) as RawSpan);
}

/** Of an `ExportTraceServiceRequest`, each with its resource's attributes. */
export function readSpanRequest(
  bytes: Buffer,
): readonly { readonly resource: Readonly<Record<string, string | number>>; readonly spans: readonly ReadSpan[] }[] {
  const request = codec("opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest").deserialize(bytes) as {
    readonly resourceSpans: readonly {
      readonly resource: { readonly attributes: readonly KeyValue[] };
      readonly scopeSpans: readonly { readonly spans: readonly RawSpan[] }[];
    }[];
  };
  return request.resourceSpans.map(({ resource, scopeSpans }) => ({
    resource: valuesOf(resource.attributes),
    spans: scopeSpans.flatMap(({ spans }) => spans.map(toSpan)),
  }));
}

function toSpan(raw: RawSpan): ReadSpan {
  return {
    traceId: raw.traceId.toString("hex"),
    spanId: raw.spanId.toString("hex"),
    parentSpanId: raw.parentSpanId === undefined ? null : raw.parentSpanId.toString("hex"),
    flags: raw.flags,
    name: raw.name,
    kind: raw.kind.replace("SPAN_KIND_", "") as ReadSpan["kind"],
    startMs: Number(BigInt(raw.startTimeUnixNano) / 1_000n) / 1_000,
    endMs: Number(BigInt(raw.endTimeUnixNano) / 1_000n) / 1_000,
    attributes: valuesOf(raw.attributes ?? []),
    events: (raw.events ?? []).map(({ name, attributes }) => ({ name, attributes: valuesOf(attributes ?? []) })),
    error: raw.status?.code === "STATUS_CODE_ERROR" ? (raw.status.message ?? "") : null,
  };
}

function valuesOf(attributes: readonly KeyValue[]): Readonly<Record<string, string | number>> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [key, value.stringValue ?? value.doubleValue ?? Number(value.intValue)]),
  );
}

function codec(name: string): MessageTypeDefinition<object, object> {
  return DEFINITIONS[name] as unknown as MessageTypeDefinition<object, object>;
}
