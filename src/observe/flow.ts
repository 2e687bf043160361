import type { ErrorCode } from "../core/errors.ts";

/** Which sidecar wrote a record: the caller's (source) or the called workload's (destination). */
export const REPORTERS = ["source", "destination"] as const;
export type Reporter = (typeof REPORTERS)[number];

/**
 * allowed: it was let through. denied: policy or identity refused it. would-deny: let through, but only because
 * enforcement is AUDIT. error: it failed for a reason that is no decision (bad request, no route, upstream gone).
 */
export const VERDICTS = ["allowed", "denied", "would-deny", "error"] as const;
export type Verdict = (typeof VERDICTS)[number];

/** http: policy saw each request. tcp: policy saw the connection alone. */
export const FLOW_PROTOCOLS = ["http", "tcp"] as const;

/** Why the verdict fell: the policy decision's reason, the source sidecar's registry permit, or an error's code. */
export type FlowReason =
  | ErrorCode
  | "allow-rule-matched"
  | "break-glass"
  | "deny-rule-matched"
  | "custom-denied"
  | "custom-failed"
  | "no-allow-rule-matched"
  | "default-action"
  | "route-answered"
  | "service-registered";

/** Who ended the exchange. */
export const ENDERS = ["downstream", "upstream", "sidecar"] as const;
export type EndedBy = (typeof ENDERS)[number];

/** A workload's labels. */
export type FlowLabels = Readonly<Record<string, string>>;

/** The types that a flow field can have; `timeMs` is written as RFC 3339 text in UTC with milliseconds. */
interface FieldTypes {
  text: string;
  number: number;
  timeMs: number;
  labels: FlowLabels;
  reporter: Reporter;
  verdict: Verdict;
  reason: FlowReason;
  protocol: (typeof FLOW_PROTOCOLS)[number];
  endedBy: EndedBy;
}

/** One row of the table of flow fields. */
export interface FlowField {
  readonly type: keyof FieldTypes;
  /** Whether the value may be null; a null is left out of the JSON line. */
  readonly isNullable: boolean;
  /** The OpenTelemetry attribute (semantic conventions 1.4x), a log record's own field, or ours (`cardea.…`). */
  readonly otel: string;
  /** Place in the compact output (`cardea flows -o compact`), or null when it is not shown there. */
  readonly compact: number | null;
  /** Which sidecar knows the value. */
  readonly filledBy: Reporter | "both";
  /** One sentence for the generated reference. */
  readonly means: string;
}

/**
 * Every field of a flow record, in the order of the JSON line. A name with a dot is nested: `source.ip` is
 * `record.source.ip` and `{"source":{"ip":…}}`. The type, the JSON line, the compact output and
 * docs/reference/flow-fields.md all come from here. (`timeMs` is called `time` in JSON.)
 */
export const FLOW_FIELDS = {
  timeMs: always(
    "timeMs",
    "Timestamp",
    1,
    "both",
    "When the record was written: the end of the request or connection.",
  ),
  id: always(
    "text",
    "log.record.uid",
    2,
    "both",
    "16 hex digits; a denial's id is told to the caller in x-cardea-denial.",
  ),
  reporter: always("reporter", "cardea.reporter", 3, "both", "Whose sidecar wrote the record: source or destination."),
  verdict: always("verdict", "cardea.verdict", 4, "both", "allowed, denied, would-deny or error."),
  reason: always(
    "reason",
    "cardea.reason",
    5,
    "both",
    "Why: a decision's reason or an error's code (docs/reference/errors.md).",
  ),
  detail: maybe("text", "cardea.detail", null, "both", "For an error: what exactly was wrong, in words for people."),
  policy: maybe(
    "text",
    "security_rule.ruleset.name",
    14,
    "both",
    "namespace/name of the policy that decided; mesh/default for the mesh's default.",
  ),
  rule: maybe("number", "security_rule.name", 15, "both", "Index of the policy's rule that matched, from 0."),
  revision: maybe("text", "security_rule.version", 16, "both", "Revision of the policy set that was in force."),
  ticket: maybe(
    "text",
    "cardea.grant.ticket",
    null,
    "destination",
    "What the grant that let it through was asked for by (annotation cardea.dev/ticket of the policy).",
  ),
  auditedBy: maybe(
    "text",
    "cardea.audited_by",
    null,
    "destination",
    "namespace/name#rule: the AUDIT policy's rule that matched first.",
  ),
  dryRun: maybe(
    "text",
    "cardea.dry_run.verdict",
    null,
    "destination",
    "allowed or denied: what else would be decided, were the policies in a dry run enforced; absent where it would be the same.",
  ),
  dryRunBy: maybe(
    "text",
    "cardea.dry_run.policy",
    null,
    "destination",
    "namespace/name#rule that would decide so, or mesh/default; absent where no rule would match.",
  ),
  "source.ip": always("text", "source.address", null, "both", "The caller's IP address as the reporter saw it."),
  "source.port": always("number", "source.port", null, "both", "The caller's port as the reporter saw it."),
  "source.principal": maybe(
    "text",
    "cardea.source.principal",
    6,
    "both",
    "The caller's verified SPIFFE ID; absent when it proved none.",
  ),
  "source.namespace": maybe(
    "text",
    "cardea.source.namespace",
    null,
    "both",
    "The caller's namespace, from its SPIFFE ID.",
  ),
  "source.workload": maybe("text", "cardea.source.workload", null, "both", "The caller's workload name."),
  "source.service": maybe(
    "text",
    "cardea.source.service",
    null,
    "both",
    "Host name of the caller's service, where known.",
  ),
  "source.labels": maybe(
    "labels",
    "cardea.source.labels",
    null,
    "both",
    "The caller's labels; of a far workload, those that tell its canonical service (service.istio.io/…).",
  ),
  remoteIp: maybe(
    "text",
    "client.address",
    null,
    "both",
    "The original client's IP behind trusted proxies, when it is not source.ip.",
  ),
  "destination.ip": always("text", "destination.address", null, "both", "The called workload's IP address."),
  "destination.port": always(
    "number",
    "destination.port",
    9,
    "both",
    "The port that was authorized: the container's, after Service translation.",
  ),
  "destination.principal": maybe("text", "cardea.destination.principal", 7, "both", "The called workload's SPIFFE ID."),
  "destination.namespace": maybe(
    "text",
    "cardea.destination.namespace",
    null,
    "both",
    "The called workload's namespace.",
  ),
  "destination.workload": maybe("text", "cardea.destination.workload", null, "both", "The called workload's name."),
  "destination.service": maybe("text", "cardea.destination.service", 8, "both", "Host name of the called service."),
  "destination.labels": maybe(
    "labels",
    "cardea.destination.labels",
    null,
    "both",
    "The called workload's labels, which select its policies; to the source, those that tell its canonical service.",
  ),
  servicePort: maybe("number", "server.port", null, "source", "The service's port that the caller asked for."),
  protocol: always(
    "protocol",
    "network.protocol.name",
    10,
    "both",
    "http (policy saw requests) or tcp (policy saw a connection).",
  ),
  method: maybe("text", "http.request.method", 11, "both", "The request's method."),
  host: maybe("text", "http.request.header.host", null, "both", "The authority in force, as received."),
  path: maybe(
    "text",
    "url.path",
    12,
    "both",
    "The normalised path without its query: what policy matched and what was forwarded.",
  ),
  receivedPath: maybe(
    "text",
    "url.original",
    null,
    "both",
    "The path as received, without its query, when normalisation changed it.",
  ),
  status: maybe("number", "http.response.status_code", 13, "both", "The status that the caller got."),
  grpcStatus: maybe(
    "number",
    "rpc.grpc.status_code",
    null,
    "both",
    "For a gRPC call the status that the caller got, from the trailers or from what went wrong; absent for all else.",
  ),
  "tls.version": maybe(
    "text",
    "tls.protocol.version",
    null,
    "both",
    "TLS version of the connection between the sidecars; absent without TLS.",
  ),
  "tls.group": maybe("text", "tls.curve", null, "both", "Key-exchange group, e.g. X25519MLKEM768 (post-quantum)."),
  "tls.sni": maybe(
    "text",
    "tls.client.server_name",
    null,
    "destination",
    "The server name in the TLS handshake: a claim of the caller.",
  ),
  bytesReceived: always(
    "number",
    "http.request.body.size",
    17,
    "both",
    "Body bytes from the caller; for tcp all bytes.",
  ),
  bytesSent: always("number", "http.response.body.size", 18, "both", "Body bytes to the caller; for tcp all bytes."),
  durationMs: always(
    "number",
    "cardea.duration_ms",
    19,
    "both",
    "From the first byte of the head (tcp: from accept) to the end.",
  ),
  endedBy: always("endedBy", "cardea.ended_by", 20, "both", "downstream, upstream or sidecar."),
  traceId: maybe("text", "TraceId", 21, "both", "W3C trace id, continued or begun here."),
  spanId: maybe("text", "SpanId", null, "both", "W3C id of this sidecar's span."),
  parentSpanId: maybe(
    "text",
    "cardea.parent_span_id",
    null,
    "both",
    "The span id that came in; joins both sidecars' records of one request.",
  ),
  upstreamPort: maybe(
    "number",
    "cardea.upstream.local_port",
    null,
    "source",
    "Our own port toward the destination; joins both records of one tcp connection.",
  ),
  appSni: maybe(
    "text",
    "cardea.app.sni",
    null,
    "both",
    "The server name in the app's own TLS, which passed through: a claim of the caller, and with ECH the outer one.",
  ),
  route: maybe(
    "text",
    "cardea.route",
    null,
    "source",
    "The traffic rule that chose the way: namespace/name of its document, and its own name where it has one.",
  ),
  attempts: maybe(
    "number",
    "http.request.resend_count",
    null,
    "source",
    "How often the request was sent, or a connection of opaque bytes tried, where that was more than once or a traffic rule watches over the request; 0: a rule answered it.",
  ),
  retriedFor: maybe(
    "text",
    "cardea.retried_for",
    null,
    "source",
    "Why it was last sent or tried again: an error's code, an answer's status, or grpc- and a gRPC status.",
  ),
  requestPrincipal: maybe(
    "text",
    "enduser.id",
    null,
    "destination",
    "Issuer and subject of the end user's token that was verified, with a slash between; absent without one.",
  ),
  sampledFrom: maybe(
    "number",
    "cardea.sampled_from",
    null,
    "both",
    "How many exchanges that were simply allowed the record stands for, where only one in so many is kept; absent for one of its own.",
  ),
} as const satisfies Record<string, FlowField>;

type Fields = typeof FLOW_FIELDS;
type Value<Field extends FlowField> = Field["isNullable"] extends true
  ? FieldTypes[Field["type"]] | null
  : FieldTypes[Field["type"]];
type Plain = {
  readonly [Name in keyof Fields as Name extends `${string}.${string}` ? never : Name]: Value<Fields[Name]>;
};
type Nested<Group extends string> = {
  readonly [Name in keyof Fields as Name extends `${Group}.${infer Inner}` ? Inner : never]: Value<Fields[Name]>;
};

/**
 * One side of a flow. Make one frozen object per connection (or per endpoint) and put the same object into every
 * record: the JSON line and the metrics remember what they made of it, by identity.
 */
export type FlowPeer = Nested<"source">;

/** TLS facts of a flow; like FlowPeer, one object per connection. All null without TLS. */
export type FlowTls = Nested<"tls">;

/** What was seen of one request or one opaque connection, by one sidecar. */
export type FlowRecord = Plain & {
  readonly source: FlowPeer;
  readonly destination: FlowPeer;
  readonly tls: FlowTls;
};

/** Where the data path puts its records. Must not throw, block, or keep the caller waiting. */
export interface FlowSink {
  record(flow: FlowRecord): void;
}

/** For flows without TLS. */
export const NO_TLS: FlowTls = Object.freeze({ version: null, group: null, sni: null });

function always<const Type extends keyof FieldTypes>(
  type: Type,
  otel: string,
  compact: number | null,
  filledBy: FlowField["filledBy"],
  means: string,
): FlowField & { readonly type: Type; readonly isNullable: false } {
  return { type, isNullable: false, otel, compact, filledBy, means };
}

function maybe<const Type extends keyof FieldTypes>(
  type: Type,
  otel: string,
  compact: number | null,
  filledBy: FlowField["filledBy"],
  means: string,
): FlowField & { readonly type: Type; readonly isNullable: true } {
  return { type, isNullable: true, otel, compact, filledBy, means };
}
