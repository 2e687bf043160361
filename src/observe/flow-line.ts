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
import { jsonText } from "./json-text.ts";

/**
 * A record as one line of JSON without its line feed: fields in the order of FLOW_FIELDS, nulls left out. Built by
 * hand because it runs for every request (bench/micro/flow-line.ts); a test holds it against the table. What is the
 * same for request after request is kept as one text: each piece that is added costs an object.
 */
export function formatFlowLine(flow: FlowRecord): string {
  return (
    `{"time":"${formatTime(flow.timeMs)}","id":${idJson(flow.id)}` +
    decisionJson(flow) +
    `,"source":${peerJson(flow.source)}` +
    text(',"remoteIp":', flow.remoteIp) +
    `,"destination":${peerJson(flow.destination)}` +
    askedJson(flow) +
    text(',"path":', flow.path) +
    text(',"receivedPath":', flow.receivedPath) +
    number(',"status":', flow.status) +
    number(',"grpcStatus":', flow.grpcStatus) +
    tlsJson(flow.tls) +
    `,"bytesReceived":${finite(flow.bytesReceived)},"bytesSent":${finite(flow.bytesSent)}` +
    `,"durationMs":${formatDuration(flow.durationMs)},"endedBy":"${flow.endedBy}"` +
    traceJson(flow) +
    number(',"upstreamPort":', flow.upstreamPort) +
    text(',"appSni":', flow.appSni) +
    text(',"route":', flow.route) +
    number(',"attempts":', flow.attempts) +
    text(',"retriedFor":', flow.retriedFor) +
    "}"
  );
}

type Decided = Pick<FlowRecord, "reporter" | "verdict" | "reason" | "detail" | "policy" | "rule" | "revision">;

let lastDecided: Decided | null = null;
let lastDecidedText = "";

/** Many requests one after the other come out the same way. */
function decisionJson(flow: Decided): string {
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
  if (isAsBefore) return lastDecidedText;
  lastDecided = { reporter, verdict, reason, detail, policy, rule, revision };
  lastDecidedText =
    `,"reporter":"${reporter}","verdict":"${verdict}","reason":"${reason}"` +
    text(',"detail":', detail) +
    text(',"policy":', policy) +
    number(',"rule":', rule) +
    text(',"revision":', revision);
  return lastDecidedText;
}

type Asked = Pick<FlowRecord, "servicePort" | "protocol" | "method" | "host">;

let lastAsked: Asked | null = null;
let lastAskedText = "";

/** And ask the same host in the same way. */
function askedJson({ servicePort, protocol, method, host }: Asked): string {
  const isAsBefore =
    lastAsked !== null &&
    lastAsked.method === method &&
    lastAsked.host === host &&
    lastAsked.servicePort === servicePort &&
    lastAsked.protocol === protocol;
  if (isAsBefore) return lastAskedText;
  lastAsked = { servicePort, protocol, method, host };
  lastAskedText =
    number(',"servicePort":', servicePort) +
    `,"protocol":"${protocol}"` +
    text(',"method":', method) +
    text(',"host":', host);
  return lastAskedText;
}

function traceJson({ traceId, spanId, parentSpanId }: FlowRecord): string {
  if (traceId === null || spanId === null) return id(',"traceId":', traceId) + id(',"spanId":', spanId);
  return `,"traceId":${idJson(traceId)},"spanId":${idJson(spanId)}${id(',"parentSpanId":', parentSpanId)}`;
}

function id(key: string, value: string | null): string {
  return value === null ? "" : key + idJson(value);
}

/** Ids are hexadecimal, and looked at all the same: a table costs a third of a regular expression here. */
function idJson(value: string): string {
  for (let i = 0; i < value.length; i++) if (HEX_DIGIT[value.charCodeAt(i)] !== 1) return jsonText(value);
  return `"${value}"`;
}

const HEX_DIGIT = new Uint8Array(128);
for (const digit of "0123456789abcdef") HEX_DIGIT[digit.charCodeAt(0)] = 1;

function text(key: string, value: string | null): string {
  return value === null ? "" : key + jsonText(value);
}

function number(key: string, value: number | null): string {
  return value === null ? "" : `${key}${finite(value)}`;
}

/** NaN and Infinity are no JSON; they would be a fault of ours, and must not cost the line. */
function finite(value: number): number {
  return Number.isFinite(value) ? value : 0;
}

const peerLines = new WeakMap<FlowPeer, string>();

function peerJson(peer: FlowPeer): string {
  let line = peerLines.get(peer);
  if (line === undefined) {
    line =
      `{"ip":${jsonText(peer.ip)}` +
      number(',"port":', peer.port) +
      text(',"principal":', peer.principal) +
      text(',"namespace":', peer.namespace) +
      text(',"workload":', peer.workload) +
      text(',"service":', peer.service) +
      labels(',"labels":', peer.labels) +
      "}";
    peerLines.set(peer, line);
  }
  return line;
}

function labels(key: string, value: FlowLabels | null): string {
  if (value === null) return "";
  return `${key}{${Object.entries(value)
    .map(([name, labelValue]) => `${jsonText(name)}:${jsonText(labelValue)}`)
    .join(",")}}`;
}

const tlsLines = new WeakMap<FlowTls, string>();

function tlsJson(tls: FlowTls): string {
  let line = tlsLines.get(tls);
  if (line === undefined) {
    const inner = text(',"version":', tls.version) + text(',"group":', tls.group) + text(',"sni":', tls.sni);
    line = inner === "" ? "" : `,"tls":{${inner.slice(1)}}`;
    tlsLines.set(tls, line);
  }
  return line;
}

let secondNow = Number.NaN;
let secondText = "";

/** Milliseconds since the epoch as RFC 3339 in UTC. Records come in bunches, so the second is kept. */
export function formatTime(timeMs: number): string {
  const second = Math.floor(timeMs / 1000);
  if (second !== secondNow) {
    secondText = new Date(second * 1000).toISOString().slice(0, -4);
    secondNow = second;
  }
  return `${secondText}${threeDigits(Math.floor(timeMs - second * 1000))}Z`;
}

/** Microseconds are all that a duration is good for; composed of integers, which print three times as fast. */
function formatDuration(durationMs: number): string {
  const micros = Number.isFinite(durationMs) ? Math.max(0, Math.round(durationMs * 1000)) : 0;
  const rest = micros % 1000;
  const whole = (micros - rest) / 1000;
  return rest === 0 ? `${whole}` : `${whole}.${threeDigits(rest)}`;
}

function threeDigits(value: number): string {
  if (value >= 100) return `${value}`;
  return value >= 10 ? `0${value}` : `00${value}`;
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
