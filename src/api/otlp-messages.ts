import { field, message } from "../wire/protobuf-fields.ts";
import { messageOf } from "../wire/protobuf-message.ts";
import { INT64, STRING } from "../wire/protobuf-values.ts";

// What a collector answers, as tables of fields. Requests are written and read by hand: observe/otlp-flow.ts.

/** `opentelemetry.proto.collector.logs.v1.LogsService/Export`. */
export const EXPORT_LOGS = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

const PARTIAL_SUCCESS = messageOf({ rejectedLogRecords: field(1, INT64), errorMessage: field(2, STRING) });

export const EXPORT_LOGS_RESPONSE = messageOf({ partialSuccess: message(1, PARTIAL_SUCCESS) });
