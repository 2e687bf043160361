import { field, message, repeated } from "../wire/protobuf-fields.ts";
import { messageOf } from "../wire/protobuf-message.ts";
import { BYTES, INT64, STRING } from "../wire/protobuf-values.ts";

// What a collector answers, as tables of fields. Requests are written and read by hand: observe/otlp-flow.ts.

/** `opentelemetry.proto.collector.logs.v1.LogsService/Export`. */
export const EXPORT_LOGS = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

const PARTIAL_SUCCESS = messageOf({ rejectedLogRecords: field(1, INT64), errorMessage: field(2, STRING) });

export const EXPORT_LOGS_RESPONSE = messageOf({ partialSuccess: message(1, PARTIAL_SUCCESS) });

/** `opentelemetry.proto.collector.trace.v1.TraceService/Export`. */
export const EXPORT_TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

const PARTIAL_TRACES = messageOf({ rejectedSpans: field(1, INT64), errorMessage: field(2, STRING) });

export const EXPORT_TRACES_RESPONSE = messageOf({ partialSuccess: message(1, PARTIAL_TRACES) });

const ATTRIBUTE = messageOf({ key: field(1, STRING), value: message(2, messageOf({ stringValue: field(1, STRING) })) });

/** `ExportTraceServiceRequest` as far as whoever passes it on looks into it: who sends, and how many spans. */
export const EXPORT_TRACES_REQUEST = messageOf({
  resourceSpans: repeated(
    1,
    messageOf({
      resource: message(1, messageOf({ attributes: repeated(1, ATTRIBUTE) })),
      scopeSpans: repeated(2, messageOf({ spans: repeated(2, BYTES) })),
    }),
  ),
});
