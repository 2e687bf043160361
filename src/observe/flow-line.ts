import {
  ENDERS,
  FLOW_FIELDS,
  FLOW_PROTOCOLS,
  type FlowField,
  type FlowLabels,
  type FlowPeer,
  type FlowRecord,
  type FlowTls,
  REPORTERS,
  VERDICTS,
} from "./flow.ts";
import { JsonBytes } from "./json-bytes.ts";

/** A record as one line of JSON without its line feed: fields in the order of FLOW_FIELDS, nulls left out. */
export function formatFlowLine(flow: FlowRecord): string {
  return encodeFlowLine(flow).toString();
}

/**
 * The same as bytes, which are good until the next call. Put together by hand because it runs for every request
 * (bench/micro/flow-line.ts); a test holds it against the table. What is the same for request after request is kept.
 */
export function encodeFlowLine(flow: FlowRecord): JsonBytes {
  LINE.clear();
  LINE.ascii('{"time":"');
  putTime(flow.timeMs);
  LINE.ascii('","id":');
  LINE.text(flow.id);
  LINE.copy(decisionJson(flow));
  putText(LINE, ',"ticket":', flow.ticket);
  putText(LINE, ',"auditedBy":', flow.auditedBy);
  putText(LINE, ',"dryRun":', flow.dryRun);
  putText(LINE, ',"dryRunBy":', flow.dryRunBy);
  LINE.ascii(',"source":');
  LINE.copy(peerJson(flow.source));
  putText(LINE, ',"remoteIp":', flow.remoteIp);
  LINE.ascii(',"destination":');
  LINE.copy(peerJson(flow.destination));
  LINE.copy(askedJson(flow));
  putText(LINE, ',"path":', flow.path);
  putText(LINE, ',"receivedPath":', flow.receivedPath);
  putNumber(LINE, ',"status":', flow.status);
  putNumber(LINE, ',"grpcStatus":', flow.grpcStatus);
  LINE.copy(tlsJson(flow.tls));
  putNumber(LINE, ',"bytesReceived":', flow.bytesReceived);
  putNumber(LINE, ',"bytesSent":', flow.bytesSent);
  LINE.ascii(',"durationMs":');
  putDuration(flow.durationMs);
  LINE.ascii(',"endedBy":"');
  LINE.ascii(flow.endedBy);
  LINE.ascii('"');
  putText(LINE, ',"traceId":', flow.traceId);
  putText(LINE, ',"spanId":', flow.spanId);
  putText(LINE, ',"parentSpanId":', flow.parentSpanId);
  putNumber(LINE, ',"upstreamPort":', flow.upstreamPort);
  putText(LINE, ',"appSni":', flow.appSni);
  putText(LINE, ',"route":', flow.route);
  putNumber(LINE, ',"attempts":', flow.attempts);
  putText(LINE, ',"retriedFor":', flow.retriedFor);
  putText(LINE, ',"requestPrincipal":', flow.requestPrincipal);
  putNumber(LINE, ',"sampledFrom":', flow.sampledFrom);
  LINE.ascii("}");
  return LINE;
}

const LINE = new JsonBytes();

function putText(into: JsonBytes, key: string, value: string | null): void {
  if (value === null) return;
  into.ascii(key);
  into.text(value);
}

function putNumber(into: JsonBytes, key: string, value: number | null): void {
  if (value === null) return;
  into.ascii(key);
  into.number(value);
}

type Decided = Pick<FlowRecord, "reporter" | "verdict" | "reason" | "detail" | "policy" | "rule" | "revision">;

let lastDecided: Decided | null = null;
let lastDecidedJson: Uint8Array = Buffer.alloc(0);

/** Many requests one after the other come out the same way. */
function decisionJson(flow: Decided): Uint8Array {
  const { reporter, verdict, reason, detail, policy, rule, revision } = flow;
  const isAsBefore =
    lastDecided !== null &&
    lastDecided.reason === reason &&
    lastDecided.policy === policy &&
    lastDecided.rule === rule &&
    lastDecided.revision === revision &&
    lastDecided.verdict === verdict &&
    lastDecided.detail === detail &&
    lastDecided.reporter === reporter;
  if (isAsBefore) return lastDecidedJson;
  const json = new JsonBytes();
  json.ascii(`,"reporter":"${reporter}","verdict":"${verdict}","reason":"${reason}"`);
  putText(json, ',"detail":', detail);
  putText(json, ',"policy":', policy);
  putNumber(json, ',"rule":', rule);
  putText(json, ',"revision":', revision);
  lastDecided = { reporter, verdict, reason, detail, policy, rule, revision };
  lastDecidedJson = json.take();
  return lastDecidedJson;
}

type Asked = Pick<FlowRecord, "servicePort" | "protocol" | "method" | "host">;

let lastAsked: Asked | null = null;
let lastAskedJson: Uint8Array = Buffer.alloc(0);

/** And ask the same host in the same way. */
function askedJson({ servicePort, protocol, method, host }: Asked): Uint8Array {
  const isAsBefore =
    lastAsked !== null &&
    lastAsked.method === method &&
    lastAsked.host === host &&
    lastAsked.servicePort === servicePort &&
    lastAsked.protocol === protocol;
  if (isAsBefore) return lastAskedJson;
  const json = new JsonBytes();
  putNumber(json, ',"servicePort":', servicePort);
  json.ascii(`,"protocol":"${protocol}"`);
  putText(json, ',"method":', method);
  putText(json, ',"host":', host);
  lastAsked = { servicePort, protocol, method, host };
  lastAskedJson = json.take();
  return lastAskedJson;
}

const peerLines = new WeakMap<FlowPeer, Uint8Array>();

function peerJson(peer: FlowPeer): Uint8Array {
  let made = peerLines.get(peer);
  if (made === undefined) {
    const json = new JsonBytes();
    json.ascii('{"ip":');
    json.text(peer.ip);
    putNumber(json, ',"port":', peer.port);
    putText(json, ',"principal":', peer.principal);
    putText(json, ',"namespace":', peer.namespace);
    putText(json, ',"workload":', peer.workload);
    putText(json, ',"service":', peer.service);
    putLabels(json, peer.labels);
    json.ascii("}");
    made = json.take();
    peerLines.set(peer, made);
  }
  return made;
}

function putLabels(into: JsonBytes, value: FlowLabels | null): void {
  if (value === null) return;
  into.ascii(',"labels":{');
  for (const [i, [name, labelValue]] of Object.entries(value).entries()) {
    if (i > 0) into.ascii(",");
    into.text(name);
    into.ascii(":");
    into.text(labelValue);
  }
  into.ascii("}");
}

const tlsLines = new WeakMap<FlowTls, Uint8Array>();

function tlsJson(tls: FlowTls): Uint8Array {
  let made = tlsLines.get(tls);
  if (made === undefined) {
    const json = new JsonBytes();
    putText(json, ',"version":', tls.version);
    putText(json, ',"group":', tls.group);
    putText(json, ',"sni":', tls.sni);
    const inner = json.toString();
    made = Buffer.from(inner === "" ? "" : `,"tls":{${inner.slice(1)}}`);
    tlsLines.set(tls, made);
  }
  return made;
}

let secondNow = Number.NaN;
let secondText = "";

/** Milliseconds since the epoch as RFC 3339 in UTC. */
export function formatTime(timeMs: number): string {
  const second = Math.floor(timeMs / 1000);
  return `${textOfSecond(second)}${Math.floor(timeMs - second * 1000)
    .toString()
    .padStart(3, "0")}Z`;
}

function putTime(timeMs: number): void {
  const second = Math.floor(timeMs / 1000);
  LINE.ascii(textOfSecond(second));
  LINE.digits(Math.floor(timeMs - second * 1000), 3);
  LINE.ascii("Z");
}

/** Records come in bunches, so the second is kept. */
function textOfSecond(second: number): string {
  if (second !== secondNow) {
    secondText = new Date(second * 1000).toISOString().slice(0, -4);
    secondNow = second;
  }
  return secondText;
}

/** Microseconds are all that a duration is good for. */
function putDuration(durationMs: number): void {
  const micros = Number.isFinite(durationMs) ? Math.max(0, Math.round(durationMs * 1000)) : 0;
  const rest = micros % 1000;
  LINE.number((micros - rest) / 1000);
  if (rest === 0) return;
  LINE.ascii(".");
  LINE.digits(rest, 3);
}

interface ReadableField {
  /** Names of the groups and the field, as in the record. */
  readonly names: readonly string[];
  readonly jsonName: string;
  readonly field: FlowField;
}

const READABLE: readonly ReadableField[] = Object.entries(FLOW_FIELDS).map(([name, field]) => {
  const names = name.split(".");
  return { names, jsonName: name === "timeMs" ? "time" : names.at(-1)!, field };
});

type Json = Readonly<Record<string, unknown>>;

/** A line of a flow file → the record, or null when it is none (torn by a crash, or not ours). Unknown fields are ignored. */
export function parseFlowLine(line: string): FlowRecord | null {
  const json = parseObject(line);
  if (json === null) return null;
  const record: Record<string, unknown> = { source: {}, destination: {}, tls: {} };
  for (const { names, jsonName, field } of READABLE) {
    const isNested = names.length === 2;
    const from = isNested ? asObject(json[names[0]!]) : json;
    const value = readValue(field, from?.[jsonName]);
    if (value === undefined) return null;
    const into = isNested ? (record[names[0]!] as Record<string, unknown>) : record;
    into[names.at(-1)!] = value;
  }
  return record as FlowRecord;
}

function parseObject(line: string): Json | null {
  try {
    return asObject(JSON.parse(line));
  } catch {
    return null;
  }
}

function asObject(value: unknown): Json | null {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : null;
}

/** The value, null where that is allowed, or undefined when the line is not to be believed. */
function readValue(field: FlowField, value: unknown): unknown {
  if (value === undefined || value === null) return field.isNullable ? null : undefined;
  switch (field.type) {
    case "text":
      return typeof value === "string" ? value : undefined;
    case "reason":
      // A newer sidecar may know reasons that this program does not.
      return typeof value === "string" && /^[a-z-]{1,64}$/.test(value) ? value : undefined;
    case "number":
      return typeof value === "number" ? value : undefined;
    case "timeMs":
      return readTime(value);
    case "labels":
      return readLabels(value);
    case "reporter":
      return oneOf(value, REPORTERS);
    case "verdict":
      return oneOf(value, VERDICTS);
    case "protocol":
      return oneOf(value, FLOW_PROTOCOLS);
    case "endedBy":
      return oneOf(value, ENDERS);
  }
}

function readTime(value: unknown): number | undefined {
  const timeMs = typeof value === "string" ? Date.parse(value) : Number.NaN;
  return Number.isNaN(timeMs) ? undefined : timeMs;
}

function readLabels(value: unknown): FlowLabels | undefined {
  const found = asObject(value);
  if (found === null || !Object.values(found).every((label) => typeof label === "string")) return undefined;
  return found as FlowLabels;
}

function oneOf<Word extends string>(value: unknown, words: readonly Word[]): Word | undefined {
  return words.find((word) => word === value);
}
