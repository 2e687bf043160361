import { ProtobufBytes, varintLength } from "../wire/protobuf-bytes.ts";
import { ATTRIBUTES_TAG, attributeKey, putText } from "./otlp-attributes.ts";

/** `ResourceLogs.scope_logs`. */
export const SCOPE_LOGS_TAG = 0x12;

/** `ScopeLogs.scope`. */
export const SCOPE_TAG = 0x0a;

/** `ScopeLogs.log_records`: the tag that stands before each record's length. */
export const LOG_RECORD_TAG = 0x12;

/** What a sidecar is, for whoever gets its records: attributes of OTLP's resource, by name. */
export type OtlpResource = Readonly<Record<string, string>>;

/** The beginning of an `ExportLogsServiceRequest`, or the like of traces, up to its scopes: so many octets must follow it. */
export function resourceHead(resource: OtlpResource, scopesLength: number): Buffer {
  const about = resourceBytes(resource);
  const into = new ProtobufBytes(HEAD_FIRST_BYTES);
  into.octet(RESOURCE_LOGS_TAG);
  into.varint(fieldLength(about.length) + scopesLength);
  putMessage(into, RESOURCE_TAG, about);
  return into.take();
}

/** A scope, ours, up to its records: so many octets of them must follow, each with its tag and its length. */
export function scopeHead(version: string, recordsLength: number): Buffer {
  const scope = scopeBytes(version);
  const into = new ProtobufBytes(HEAD_FIRST_BYTES);
  into.octet(SCOPE_LOGS_TAG);
  into.varint(fieldLength(scope.length) + recordsLength);
  putMessage(into, SCOPE_TAG, scope);
  return into.take();
}

function resourceBytes(resource: OtlpResource): ProtobufBytes {
  const into = new ProtobufBytes(HEAD_FIRST_BYTES);
  for (const [name, value] of Object.entries(resource))
    putText(into, attributeKey(ATTRIBUTES_TAG.resource, name), value);
  return into;
}

/** Name and version of the scope, without its attributes. */
export function scopeBytes(version: string): Buffer {
  const into = new ProtobufBytes(HEAD_FIRST_BYTES);
  putMessage(into, SCOPE_NAME_TAG, Buffer.from("cardea"));
  putMessage(into, SCOPE_VERSION_TAG, Buffer.from(version));
  return into.take();
}

function putMessage(into: ProtobufBytes, tag: number, made: ProtobufBytes | Buffer): void {
  into.octet(tag);
  into.varint(made.length);
  if (made instanceof ProtobufBytes) into.copy(made.bytes, made.length);
  else into.copy(made);
}

/** Of a field below 16 that holds so many octets, with its tag and its length. */
function fieldLength(length: number): number {
  return 1 + varintLength(length) + length;
}

const HEAD_FIRST_BYTES = 512;
const RESOURCE_LOGS_TAG = 0x0a;
const RESOURCE_TAG = 0x0a;
const SCOPE_NAME_TAG = 0x0a;
const SCOPE_VERSION_TAG = 0x12;
