import { LIMITS } from "../core/limits.ts";
import { ProtobufCursor } from "../wire/protobuf-cursor.ts";
import { WIRE_TYPES } from "../wire/protobuf-reader.ts";
import type { FlowLabels, FlowRecord } from "./flow.ts";
import { FIELD_COUNT, FIELD_INDEX as INDEX, FIELD_KEYS as KEYS, type FieldValue, FlowRecords } from "./flow-values.ts";
import { cutText } from "./json-text.ts";
import { FLOW_EVENT } from "./otlp-flow.ts";

/** What is done with the records of a request. */
export interface LogHandlers {
  /** Records of another ScopeLogs follow. */
  onScope?(): void;
  onFlow(flow: FlowRecord): void;
  /** A record of another kind, with its attributes: texts and numbers alone, the others as null. */
  onOther(eventName: string, attributes: ReadonlyMap<string, string | number | null>): void;
  /** A record that calls itself a flow and is none. */
  onRefused(why: string): void;
}

/**
 * Reads an `opentelemetry.proto.collector.logs.v1.ExportLogsServiceRequest` of whatever sender. Errors: `bad-input` when it
 * is no such message; what came before that has been told of. Attributes of a scope are those of all its records, unless
 * these have their own. Objects of peers and of TLS are shared between records that have the same.
 */
export function readLogsRequest(bytes: Buffer, handlers: LogHandlers): void {
  const cursor = new ProtobufCursor(bytes);
  const reading = new FlowReading(cursor);
  const end = cursor.end;
  while (cursor.next()) {
    if (!cursor.is(1, WIRE_TYPES.bytes)) cursor.skip();
    else within(cursor, () => readResourceLogs(cursor, reading, handlers));
  }
  cursor.end = end;
}

function readResourceLogs(cursor: ProtobufCursor, reading: FlowReading, handlers: LogHandlers): void {
  while (cursor.next()) {
    if (!cursor.is(2, WIRE_TYPES.bytes)) cursor.skip();
    else within(cursor, () => readScopeLogs(cursor, reading, handlers));
  }
}

function readScopeLogs(cursor: ProtobufCursor, reading: FlowReading, handlers: LogHandlers): void {
  const start = cursor.at;
  reading.beginScope();
  handlers.onScope?.();
  // It stands first where we have written it; others may think otherwise.
  let hasScope = false;
  while (!hasScope && cursor.next()) {
    hasScope = cursor.is(1, WIRE_TYPES.bytes);
    if (hasScope) within(cursor, () => reading.readScope());
    else cursor.skip();
  }
  cursor.at = start;
  while (cursor.next()) {
    if (!cursor.is(2, WIRE_TYPES.bytes)) {
      cursor.skip();
      continue;
    }
    cursor.value();
    const { end } = cursor;
    cursor.at = cursor.valueStart;
    cursor.end = cursor.valueEnd;
    reading.read(handlers);
    cursor.at = cursor.end;
    cursor.end = end;
  }
}

function within(cursor: ProtobufCursor, read: () => void): void {
  const { end } = cursor;
  cursor.value();
  cursor.at = cursor.valueStart;
  cursor.end = cursor.valueEnd;
  read();
  cursor.end = end;
}

/** Fields that differ from one record to the next: their last value is not worth keeping. */
const CHANGING = new Uint8Array(FIELD_COUNT);
for (const index of [INDEX.id, INDEX.path, INDEX.receivedPath, INDEX.parentSpanId]) CHANGING[index] = 1;

/** A field's last text or labels, and the octets that they were made of. */
interface Last {
  readonly bytes: Buffer;
  readonly value: string | FlowLabels | undefined;
}

const BY_KEY: ReadonlyMap<string, number> = new Map(KEYS.map((key, i) => [key.toString(), i]));

/** Reads one record after the other. */
class FlowReading {
  readonly #cursor: ProtobufCursor;
  /** What the scope says of all its records. */
  readonly #common: (FieldValue | undefined)[] = Array.from({ length: FIELD_COUNT }, () => null);
  readonly #values: (FieldValue | undefined)[] = Array.from({ length: FIELD_COUNT }, () => null);
  readonly #last: (Last | undefined)[] = Array.from({ length: FIELD_COUNT }, () => undefined);
  readonly #records = new FlowRecords();
  /** What comes after each key most often: senders keep an order. */
  readonly #successor = new Int32Array(FIELD_COUNT + 1).fill(0);
  #eventName = "";
  #others = new Map<string, string | number | null>();

  constructor(cursor: ProtobufCursor) {
    this.#cursor = cursor;
  }

  beginScope(): void {
    this.#common.fill(null);
  }

  /** The InstrumentationScope between the cursor and its end. */
  readScope(): void {
    const cursor = this.#cursor;
    let before = FIELD_COUNT;
    while (cursor.next()) {
      if (cursor.is(SCOPE_ATTRIBUTES, WIRE_TYPES.bytes)) before = this.#readAttribute(before, this.#common);
      else cursor.skip();
    }
  }

  /** The record between the cursor and its end. */
  read(handlers: LogHandlers): void {
    for (let i = 0; i < FIELD_COUNT; i++) this.#values[i] = this.#common[i];
    this.#eventName = "";
    if (this.#others.size > 0) this.#others = new Map();
    this.#readFields();
    if (this.#eventName === FLOW_EVENT) {
      const flow = this.#records.make(this.#values);
      if (typeof flow === "string") handlers.onRefused(flow);
      else handlers.onFlow(flow);
    } else handlers.onOther(this.#eventName, this.#others);
  }

  #readFields(): void {
    const cursor = this.#cursor;
    let before = FIELD_COUNT;
    while (cursor.next()) {
      if (cursor.is(ATTRIBUTES, WIRE_TYPES.bytes)) before = this.#readAttribute(before, this.#values);
      else if (cursor.is(TIME, WIRE_TYPES.fixed64)) this.#values[INDEX.timeMs] = readTimeMs(cursor);
      else if (cursor.is(TRACE_ID, WIRE_TYPES.bytes)) this.#values[INDEX.traceId] = readHex(cursor, 16);
      else if (cursor.is(SPAN_ID, WIRE_TYPES.bytes)) this.#values[INDEX.spanId] = readHex(cursor, 8);
      else if (cursor.is(EVENT_NAME, WIRE_TYPES.bytes)) this.#eventName = readText(cursor);
      else cursor.skip();
    }
  }

  /** One KeyValue into its place; answers which field it was, or `before` when it was none. */
  #readAttribute(before: number, into: (FieldValue | undefined)[]): number {
    const cursor = this.#cursor;
    const { end } = cursor;
    cursor.value();
    cursor.at = cursor.valueStart;
    cursor.end = cursor.valueEnd;
    let index = -1;
    let name = "";
    while (cursor.next()) {
      if (cursor.is(1, WIRE_TYPES.bytes)) {
        cursor.value();
        const { valueStart, valueEnd } = cursor;
        index = this.#successor[before]!;
        if (!isKey(cursor.bytes, valueStart, valueEnd, KEYS[index]!)) {
          name = readText(cursor, false);
          index = BY_KEY.get(name) ?? -1;
          if (index >= 0) this.#successor[before] = index;
        }
      } else if (cursor.is(2, WIRE_TYPES.bytes)) {
        cursor.value();
        const valueEnd = cursor.end;
        cursor.at = cursor.valueStart;
        cursor.end = cursor.valueEnd;
        const value = this.#readAny(index);
        cursor.at = cursor.end;
        cursor.end = valueEnd;
        if (index >= 0) into[index] = value;
        else if (this.#others.size < OTHERS_MAX)
          this.#others.set(name, typeof value === "object" ? null : (value ?? null));
      } else cursor.skip();
    }
    cursor.end = end;
    return index < 0 ? before : index;
  }

  /** An AnyValue; undefined for one of a type that no field has. */
  #readAny(index: number): FieldValue | undefined {
    const cursor = this.#cursor;
    let value: FieldValue | undefined;
    while (cursor.next()) {
      if (cursor.is(1, WIRE_TYPES.bytes)) {
        cursor.value();
        value = index < 0 || CHANGING[index] === 1 ? readText(cursor, false) : this.#shared(index, false);
      } else if (cursor.is(3, WIRE_TYPES.varint)) value = cursor.varint();
      else if (cursor.is(4, WIRE_TYPES.fixed64)) value = cursor.bytes.readDoubleLE(cursor.fixed64());
      else if (cursor.is(6, WIRE_TYPES.bytes)) {
        cursor.value();
        value = index < 0 ? undefined : this.#shared(index, true);
      } else cursor.skip();
    }
    return value;
  }

  /** The value that was read last, or the one before where that has the same octets: most fields say the same again. */
  #shared(index: number, isList: boolean): string | FlowLabels | undefined {
    const { bytes, valueStart, valueEnd } = this.#cursor;
    const last = this.#last[index];
    if (
      last !== undefined &&
      isKey(bytes, valueStart, valueEnd, last.bytes) &&
      (typeof last.value !== "string") === isList
    )
      return last.value;
    const value = isList ? readTexts(this.#cursor) : readText(this.#cursor, false);
    this.#last[index] = { bytes: Buffer.from(bytes.subarray(valueStart, valueEnd)), value };
    return value;
  }
}

const SCOPE_ATTRIBUTES = 3;
const TIME = 1;
const ATTRIBUTES = 6;
const TRACE_ID = 9;
const SPAN_ID = 10;
const EVENT_NAME = 12;

/** Attributes of a record that no table of ours has: more are not looked at. */
const OTHERS_MAX = 32;

function isKey(bytes: Buffer, start: number, end: number, key: Buffer): boolean {
  const { length } = key;
  if (end - start !== length) return false;
  for (let i = 0; i < length; i++) if (bytes[start + i] !== key[i]) return false;
  return true;
}

/** What is no UTF-8 becomes U+FFFD; what is too long is cut. `passes`: the value has not been passed yet. */
function readText(cursor: ProtobufCursor, passes = true): string {
  if (passes) cursor.value();
  const { bytes, valueStart, valueEnd } = cursor;
  const text = bytes.toString("utf8", valueStart, valueEnd);
  // A text that was cut by its sender is a little longer, for the mark.
  return valueEnd - valueStart <= LIMITS.logFieldBytesMax + MARK_BYTES_MAX ? text : cutText(text);
}

const MARK_BYTES_MAX = 64;

function readTimeMs(cursor: ProtobufCursor): number {
  const at = cursor.fixed64();
  // Doubles are good for half a microsecond here, and flows for milliseconds.
  return Math.round((cursor.bytes.readUInt32LE(at + 4) * 2 ** 32 + cursor.bytes.readUInt32LE(at)) / 1e6);
}

/** Ids of another length are none. */
function readHex(cursor: ProtobufCursor, length: number): string | null {
  cursor.value();
  const { bytes, valueStart, valueEnd } = cursor;
  return valueEnd - valueStart === length ? bytes.toString("hex", valueStart, valueEnd) : null;
}

/** A KeyValueList of texts; undefined when it is another one. */
function readTexts(cursor: ProtobufCursor): FlowLabels | undefined {
  const { at, end, valueStart, valueEnd } = cursor;
  cursor.at = valueStart;
  cursor.end = valueEnd;
  const texts: Record<string, string> = {};
  let isGood = true;
  let count = 0;
  while (cursor.next()) {
    if (!cursor.is(1, WIRE_TYPES.bytes)) {
      cursor.skip();
      continue;
    }
    cursor.value();
    const [name, value] = readPair(cursor);
    isGood &&= value !== null && ++count <= LABELS_MAX;
    if (isGood) Object.defineProperty(texts, name, { value, enumerable: true, configurable: true, writable: true });
  }
  cursor.at = at;
  cursor.end = end;
  return isGood ? texts : undefined;
}

/** Kubernetes sets no bound to labels but that of the whole object; nobody has more. */
const LABELS_MAX = 128;

function readPair(cursor: ProtobufCursor): readonly [string, string | null] {
  const { at, end } = cursor;
  cursor.at = cursor.valueStart;
  cursor.end = cursor.valueEnd;
  let name = "";
  let value: string | null = null;
  while (cursor.next()) {
    if (cursor.is(1, WIRE_TYPES.bytes)) name = readText(cursor);
    else if (cursor.is(2, WIRE_TYPES.bytes)) {
      cursor.value();
      value = readTextValue(cursor);
    } else cursor.skip();
  }
  cursor.at = at;
  cursor.end = end;
  return [name, value];
}

function readTextValue(cursor: ProtobufCursor): string | null {
  const { at, end } = cursor;
  cursor.at = cursor.valueStart;
  cursor.end = cursor.valueEnd;
  let text: string | null = null;
  while (cursor.next()) {
    if (cursor.is(1, WIRE_TYPES.bytes)) text = readText(cursor);
    else cursor.skip();
  }
  cursor.at = at;
  cursor.end = end;
  return text;
}
