import { isJsonList, isJsonObject, type JsonObject, type JsonValue, memberOf } from "../../core/json-value.ts";
import type { Span, SpanService } from "./span.ts";

/** What Jaeger's UI and `/api/traces` give: `{"data": [{"spans": […], "processes": {…}}]}`. What is no span is left out. */
export function readJaegerTraces(document: JsonObject): readonly Span[] {
  return listOf(memberOf(document, "data")).flatMap((trace) => {
    const processes = memberOf(trace, "processes");
    return listOf(memberOf(trace, "spans")).flatMap((span) => {
      const read = readSpan(span, processes);
      return read === null ? [] : [read];
    });
  });
}

function readSpan(span: JsonValue | undefined, processes: JsonValue | undefined): Span | null {
  const process = memberOf(processes, textOf(span, "processID")) ?? memberOf(span, "process");
  const service = serviceOf(process);
  const [traceId, spanId] = [textOf(span, "traceID"), textOf(span, "spanID")];
  const [startUs, durationUs] = [memberOf(span, "startTime"), memberOf(span, "duration")];
  if (service === null || traceId === "" || spanId === "" || typeof startUs !== "number") return null;
  const attributes = tagsOf(memberOf(span, "tags"));
  const parentSpanId = parentOf(span, traceId);
  return {
    traceId,
    spanId,
    parentSpanId,
    service,
    name: textOf(span, "operationName"),
    startMs: startUs / 1_000,
    durationMs: typeof durationUs === "number" && durationUs >= 0 ? durationUs / 1_000 : null,
    attributes,
  };
}

function serviceOf(process: JsonValue | undefined): SpanService | null {
  const name = textOf(process, "serviceName");
  const tags = tagsOf(memberOf(process, "tags"));
  return name === "" ? null : { name, namespace: tags.get("k8s.namespace.name") ?? null };
}

/** Old clients give `parentSpanID`; of several references the first child-of in the same trace is the parent. */
function parentOf(span: JsonValue | undefined, traceId: string): string | null {
  const reference = listOf(memberOf(span, "references")).find(
    (each) => textOf(each, "refType") === "CHILD_OF" && textOf(each, "traceID") === traceId,
  );
  const parent = reference === undefined ? textOf(span, "parentSpanID") : textOf(reference, "spanID");
  return parent === "" ? null : parent;
}

function tagsOf(tags: JsonValue | undefined): ReadonlyMap<string, string> {
  return new Map(listOf(tags).map((tag) => [textOf(tag, "key"), scalarText(memberOf(tag, "value"))]));
}

/** A text, number or truth value as text; everything else is empty. */
export function scalarText(value: JsonValue | undefined): string {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? String(value) : "";
}

export function textOf(object: JsonValue | undefined, key: string): string {
  const value = memberOf(object, key);
  return typeof value === "string" ? value : "";
}

export function listOf(value: JsonValue | undefined): readonly JsonValue[] {
  return isJsonList(value) ? value : [];
}

/** Whether it looks like such a document. */
export function isJaegerDocument(value: JsonValue | undefined): value is JsonObject {
  return isJsonObject(value) && isJsonList(memberOf(value, "data"));
}
