import { field, mapOf, message, repeated } from "../wire/protobuf-fields.ts";
import { messageOf } from "../wire/protobuf-message.ts";
import { BOOL, BYTES, INT32, INT64, STRING, UINT32 } from "../wire/protobuf-values.ts";
import { STATUS } from "./messages.ts";

// envoy.service.auth.v3 (external_auth.proto, attribute_context.proto), as tables. What is left out is skipped on reading.

/** The path of the one method. */
export const CHECK_METHOD = "/envoy.service.auth.v3.Authorization/Check";

const SOCKET_ADDRESS = messageOf({ address: field(2, STRING), portValue: field(3, UINT32) });
const ADDRESS = messageOf({ socketAddress: message(1, SOCKET_ADDRESS) });
const PEER = messageOf({
  address: message(1, ADDRESS),
  service: field(2, STRING),
  labels: mapOf(3, STRING),
  principal: field(4, STRING),
});
const TIMESTAMP = messageOf({ seconds: field(1, INT64), nanos: field(2, INT32) });
const HEADER_VALUE = messageOf({ key: field(1, STRING), value: field(2, STRING), rawValue: field(3, BYTES) });
const HTTP_REQUEST = messageOf({
  id: field(1, STRING),
  method: field(2, STRING),
  headers: mapOf(3, STRING),
  path: field(4, STRING),
  host: field(5, STRING),
  scheme: field(6, STRING),
  size: field(9, INT64),
  protocol: field(10, STRING),
  body: field(11, STRING),
  rawBody: field(12, BYTES),
  headerMap: message(13, messageOf({ headers: repeated(1, HEADER_VALUE) })),
});
const REQUEST = messageOf({ time: message(1, TIMESTAMP), http: message(2, HTTP_REQUEST) });
const TLS_SESSION = messageOf({ sni: field(1, STRING) });

export const CHECK_REQUEST = messageOf({
  attributes: message(
    1,
    messageOf({
      source: message(1, PEER),
      destination: message(2, PEER),
      request: message(4, REQUEST),
      contextExtensions: mapOf(10, STRING),
      tlsSession: message(12, TLS_SESSION),
    }),
  ),
});

const HEADER_VALUE_OPTION = messageOf({
  header: message(1, HEADER_VALUE),
  append: message(2, messageOf({ value: field(1, BOOL) })),
  // A number, so that one that is not known is refused rather than taken for the first.
  appendAction: field(3, INT32),
});
const HTTP_STATUS = messageOf({ code: field(1, INT32) });
const DENIED = messageOf({
  status: message(1, HTTP_STATUS),
  headers: repeated(2, HEADER_VALUE_OPTION),
  body: field(3, STRING),
});
const QUERY_PARAMETER = messageOf({ key: field(1, STRING), value: field(2, STRING) });
const ALLOWED = messageOf({
  headers: repeated(2, HEADER_VALUE_OPTION),
  headersToRemove: repeated(5, STRING),
  responseHeadersToAdd: repeated(6, HEADER_VALUE_OPTION),
  queryParametersToSet: repeated(7, QUERY_PARAMETER),
  queryParametersToRemove: repeated(8, STRING),
});

export const CHECK_RESPONSE = messageOf(
  { status: message(1, STATUS), deniedResponse: message(2, DENIED), okResponse: message(3, ALLOWED) },
  ["deniedResponse", "okResponse"],
);
