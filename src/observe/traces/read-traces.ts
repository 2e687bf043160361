import { CardeaError } from "../../core/errors.ts";
import type { JsonValue } from "../../core/json-value.ts";
import { isJaegerDocument, readJaegerTraces } from "./jaeger-json.ts";
import { isOtlpDocument, readOtlpTraces } from "./otlp-json.ts";
import type { Span } from "./span.ts";
import { isTraceTable, readTraceTable } from "./trace-csv.ts";

/** Spans of a file of traces: Jaeger's JSON, OTLP's JSON (one document, or one a line), or a table. Errors: `bad-input`. */
export function readTraces(text: string, file: string): readonly Span[] {
  if (isTraceTable(text)) return readTraceTable(text);
  const whole = parseJson(text);
  const documents =
    whole === undefined
      ? text
          .split("\n")
          .filter((line) => line.trim() !== "")
          .map(parseJson)
      : [whole];
  const spans = documents.flatMap((document) => {
    if (isJaegerDocument(document)) return readJaegerTraces(document);
    if (isOtlpDocument(document)) return readOtlpTraces(document);
    throw new CardeaError(
      "bad-input",
      `${file} is not a file of traces: expected Jaeger's JSON ({"data": …}), OTLP's ({"resourceSpans": …}, also one a line) or a table of spans`,
    );
  });
  return spans;
}

function parseJson(text: string): JsonValue | undefined {
  try {
    // JSON is all that comes of it.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    return JSON.parse(text) as JsonValue;
  } catch {
    return undefined;
  }
}
