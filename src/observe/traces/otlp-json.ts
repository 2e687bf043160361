import { isJsonList, isJsonObject, type JsonObject, type JsonValue, memberOf } from "../../core/json-value.ts";
import { listOf, scalarText, textOf } from "./jaeger-json.ts";
import type { Span, SpanService } from "./span.ts";

/**
 * OTLP's traces as JSON: `{"resourceSpans": […]}`, which the Collector's file exporter writes one a line
 * (opentelemetry.io/docs/specs/otlp, JSON Protobuf Encoding). What is no span is left out.
 */
export function readOtlpTraces(document: JsonObject): readonly Span[] {
  return listOf(memberOf(document, "resourceSpans")).flatMap((resourceSpans) => {
    const service = serviceOf(attributesOf(memberOf(memberOf(resourceSpans, "resource"), "attributes")));
    if (service === null) return [];
    const scopes = memberOf(resourceSpans, "scopeSpans") ?? memberOf(resourceSpans, "instrumentationLibrarySpans");
    return listOf(scopes).flatMap((scope) =>
      listOf(memberOf(scope, "spans")).flatMap((span) => {
        const read = readSpan(span, service);
        return read === null ? [] : [read];
      }),
    );
  });
}

/** Whether it looks like such a document. */
export function isOtlpDocument(value: JsonValue | undefined): value is JsonObject {
  return isJsonObject(value) && isJsonList(memberOf(value, "resourceSpans"));
}

function readSpan(span: JsonValue | undefined, service: SpanService): Span | null {
  const [traceId, spanId, parent] = [textOf(span, "traceId"), textOf(span, "spanId"), textOf(span, "parentSpanId")];
  const [startMs, endMs] = [timeOf(span, "startTimeUnixNano"), timeOf(span, "endTimeUnixNano")];
  if (traceId === "" || spanId === "" || Number.isNaN(startMs)) return null;
  const attributes = attributesOf(memberOf(span, "attributes"));
  return {
    traceId,
    spanId,
    parentSpanId: parent === "" ? null : parent,
    service,
    name: textOf(span, "name"),
    startMs,
    durationMs: endMs >= startMs ? endMs - startMs : null,
    attributes,
  };
}

/** In milliseconds; NaN where it is missing. 64-bit numbers are texts in this encoding; some writers give numbers. */
function timeOf(span: JsonValue | undefined, key: string): number {
  return Number(scalarText(memberOf(span, key)) || Number.NaN) / 1_000_000;
}

function serviceOf(resource: ReadonlyMap<string, string>): SpanService | null {
  const name = resource.get("service.name") ?? resource.get("k8s.deployment.name") ?? "";
  const namespace = resource.get("k8s.namespace.name") ?? resource.get("service.namespace") ?? null;
  return name === "" ? null : { name, namespace };
}

function attributesOf(list: JsonValue | undefined): ReadonlyMap<string, string> {
  return new Map(
    listOf(list).map((attribute) => {
      const value = memberOf(attribute, "value");
      const [scalar] = isJsonObject(value) ? Object.values(value) : [undefined];
      return [textOf(attribute, "key"), scalarText(scalar)];
    }),
  );
}
