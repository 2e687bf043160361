import type { CardeaError, ErrorCode } from "../core/errors.ts";
import { HexIds } from "../core/hex-ids.ts";
import type { Clock, Random } from "../core/ports.ts";
import type {
  EndedBy,
  FlowPeer,
  FlowReason,
  FlowRecord,
  FlowSink,
  FlowTls,
  Reporter,
  Verdict,
} from "../observe/flow.ts";
import type { Decision } from "../policy/decision.ts";
import { formatRuleName } from "../policy/observation.ts";
import type { DataPathMetrics } from "../observe/metrics.ts";
import type { RequestHead } from "../wire/http1-head.ts";
import type { Trace } from "../wire/trace-context.ts";
import type { Denial, Grant } from "./authorize.ts";
import type { EarlierTry, TracingSide } from "./tracing.ts";
import type { TriesSeen } from "./tries.ts";

/** Between whom, as far as it is known. Objects that last as long as a connection or an endpoint: see FlowPeer. */
export interface Pair {
  readonly source: FlowPeer;
  readonly destination: FlowPeer;
  readonly tls: FlowTls;
}

/** How a request or connection came out. */
export interface Outcome {
  /** From Recorder.newId; it may have been told to the caller already. */
  readonly id: string;
  readonly pair: Pair;
  readonly grant: Grant | null;
  readonly denial: Denial | null;
  readonly error: CardeaError | null;
  readonly startedMs: number;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  readonly endedBy: EndedBy;
  readonly servicePort: number | null;
  readonly upstreamPort: number | null;
  /** The server name in the app's own TLS that passed through; left out where none was read. */
  readonly appSni?: string | null;
  /** Of a request that traffic rules or retries had a part in. */
  readonly tries?: TriesSeen | null;
  /** Of a request that was sent on: when it was the last time; left out: it was not. */
  readonly sentMs?: number | null;
  readonly earlier?: readonly EarlierTry[] | null;
}

/** What was seen of a request; all null when its head could not be read. */
export interface RequestSeen {
  readonly head: RequestHead | null;
  /** Normalised, without query; null before it was worked out. */
  readonly path: string | null;
  /** The status that the caller got. */
  readonly status: number | null;
  readonly trace: Trace | null;
  /** How a gRPC call ended; null for what is none. */
  readonly grpcStatus: number | null;
  /** Issuer and subject of the token that was verified; null: none was. */
  readonly requestPrincipal: string | null;
}

/** What is known of an exchange as it begins. */
export interface Beginning {
  readonly reporter: Reporter;
  readonly protocol: "http" | "tcp";
  readonly pair: Pair;
  readonly method: string | null;
  readonly host: string | null;
  /** Without its query. */
  readonly path: string | null;
  readonly traceId: string | null;
}

/** Who watches exchanges as they happen, all of them. Must not throw, block, or keep the caller waiting. */
export interface Tap {
  /** `what` is the same object when it ends. What is refused before anything is known of it only ends. */
  began(what: object, beginning: Beginning): void;
  ended(what: object, flow: FlowRecord): void;
}

/** Where a tap is put while there is one. */
export interface TapPoint {
  tap: Tap | null;
}

interface RecorderOptions {
  readonly reporter: Reporter;
  readonly flows: FlowSink;
  readonly metrics: DataPathMetrics;
  readonly clock: Clock;
  readonly random: Random;
  /** Who makes spans; left out: nobody does. */
  readonly tracing?: TracingSide | null;
  /** Left out: nobody watches, ever. */
  readonly tapPoint?: TapPoint;
}

/** The one way out for what was seen: every request and connection passes here once, early denials included. */
export class Recorder {
  readonly #reporter: Reporter;
  readonly #flows: FlowSink;
  readonly #metrics: DataPathMetrics;
  readonly #clock: Clock;
  readonly #ids: HexIds;
  readonly #tracing: TracingSide | null;
  readonly #tapPoint: TapPoint;
  /** Whether what was let through, and what failed, is kept. What was refused or marked is kept whatever this says. */
  keepsAll = true;

  constructor({ reporter, flows, metrics, clock, random, tracing = null, tapPoint }: RecorderOptions) {
    this.#tracing = tracing;
    this.#tapPoint = tapPoint ?? NEVER_TAPPED;
    this.#reporter = reporter;
    this.#flows = flows;
    this.#metrics = metrics;
    this.#clock = clock;
    this.#ids = new HexIds(random);
  }

  /** 16 hexadecimal digits. */
  newId(): string {
    return this.#ids.next(16);
  }

  nowMs(): number {
    return this.#clock.monotonicMs();
  }

  /** A request's head was read, and where it goes is known. */
  began(seen: RequestSeen, pair: Pair): void {
    const { tap } = this.#tapPoint;
    if (tap === null) return;
    const { head, trace } = seen;
    const path = seen.path ?? (head === null ? null : withoutQuery(head.path));
    const { method = null, host = null } = head ?? {};
    tap.began(seen, {
      reporter: this.#reporter,
      protocol: "http",
      pair,
      method,
      host,
      path,
      traceId: trace?.traceId ?? null,
    });
  }

  request(seen: RequestSeen, outcome: Outcome): void {
    const flow = this.#flow("http", seen, outcome);
    this.#tapPoint.tap?.ended(seen, flow);
    this.#metrics.recordRequest(flow, seen.trace !== null && seen.trace.isSampled);
    this.#keep(flow);
    const { trace } = seen;
    if (this.#tracing === null || trace === null) return;
    const { startedMs, sentMs = null, earlier } = outcome;
    this.#tracing.request(flow, { trace, startedMs, sentMs, earlier: earlier ?? [] });
  }

  connection(outcome: Outcome, trace: Trace | null = null): void {
    const flow = this.#flow("tcp", trace === null ? NOTHING_SEEN : { ...NOTHING_SEEN, trace }, outcome);
    this.#tapPoint.tap?.ended(outcome.pair, flow);
    // What never had an upstream was never opened, and cannot be counted as closed.
    if (outcome.upstreamPort === null) this.#metrics.recordRefused(flow);
    else this.#metrics.recordTcp(flow);
    this.#keep(flow);
  }

  #keep(flow: FlowRecord): void {
    if (this.keepsAll || isAlwaysKept(flow)) this.#flows.record(flow);
  }

  /** An opaque connection that was permitted has been opened. */
  opened(pair: Pair): void {
    const nothing = { method: null, host: null, path: null, traceId: null };
    this.#tapPoint.tap?.began(pair, { reporter: this.#reporter, protocol: "tcp", pair, ...nothing });
    this.#metrics.tcpOpened({ reporter: this.#reporter, ...pair });
  }

  /** Bytes of an opaque connection since the last call. */
  moved(pair: Pair, received: number, sent: number): void {
    if (received + sent > 0) this.#metrics.tcpBytes({ reporter: this.#reporter, ...pair }, received, sent);
  }

  #flow(protocol: "http" | "tcp", seen: RequestSeen, outcome: Outcome): FlowRecord {
    const { pair, grant, denial, error } = outcome;
    const { head, trace } = seen;
    const basis = denial?.decision ?? grant;
    const observation = (denial ?? grant)?.observation ?? null;
    const dryRun = observation?.dryRun ?? null;
    const received = head === null || head.path === "" ? null : withoutQuery(head.path);
    return {
      timeMs: this.#clock.wallMs(),
      id: outcome.id,
      reporter: this.#reporter,
      verdict: verdictOf(outcome),
      reason: reasonOf(outcome),
      detail: error === null || error.message === "" ? null : error.message,
      policy: basis?.policy ?? null,
      rule: basis?.rule ?? null,
      revision: denial === null ? (grant?.revision ?? null) : denial.revision,
      ticket: basis?.ticket ?? null,
      auditedBy: observation === null || observation.audit === null ? null : formatRuleName(observation.audit),
      dryRun: dryRun === null ? null : dryRunVerdict(dryRun),
      dryRunBy:
        dryRun === null || dryRun.policy === null ? null : formatRuleName({ policy: dryRun.policy, rule: dryRun.rule }),
      source: pair.source,
      destination: pair.destination,
      remoteIp: (denial ?? grant)?.remoteIp ?? null,
      servicePort: outcome.servicePort,
      protocol,
      method: head?.method ?? null,
      host: head?.host ?? null,
      path: seen.path ?? received,
      receivedPath: seen.path === null || seen.path === received ? null : received,
      status: seen.status,
      grpcStatus: seen.grpcStatus,
      tls: pair.tls,
      bytesReceived: outcome.bytesReceived,
      bytesSent: outcome.bytesSent,
      durationMs: this.#clock.monotonicMs() - outcome.startedMs,
      endedBy: outcome.endedBy,
      traceId: trace?.traceId ?? null,
      spanId: trace?.spanId ?? null,
      parentSpanId: trace?.parentId ?? null,
      upstreamPort: outcome.upstreamPort,
      appSni: outcome.appSni ?? null,
      route: outcome.tries?.route ?? null,
      attempts: outcome.tries?.attempts ?? null,
      retriedFor: outcome.tries?.retriedFor ?? null,
      requestPrincipal: seen.requestPrincipal,
      sampledFrom: null,
    };
  }
}

/** Whether a failure is a refusal for lack of permission or identity, which has an id for the caller. */
export function isDenial(code: ErrorCode): boolean {
  return DENIALS.has(code);
}

/** Who ended what came to an error. */
export function enderOf(code: ErrorCode): EndedBy {
  if (code === "downstream-reset") return "downstream";
  return code === "upstream-reset" || code === "upstream-cancelled" ? "upstream" : "sidecar";
}

const DENIALS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "denied-by-policy",
  "policy-not-loaded",
  "identity-not-ready",
  "plaintext-refused",
  "tls-handshake-failed",
  "peer-certificate-missing",
  "peer-certificate-untrusted",
  "peer-certificate-expired",
  "peer-identity-invalid",
  "peer-identity-mismatch",
  "permission-lost",
  "token-invalid",
  "token-missing",
  "token-audience",
]);

const NEVER_TAPPED: TapPoint = Object.freeze({ tap: null });

const NOTHING_SEEN: RequestSeen = Object.freeze({
  head: null,
  path: null,
  status: null,
  trace: null,
  grpcStatus: null,
  requestPrincipal: null,
});

function dryRunVerdict({ allow }: Decision): "allowed" | "denied" {
  return allow ? "allowed" : "denied";
}

function verdictOf({ error, denial, grant }: Outcome): Verdict {
  if (error !== null) return isDenial(error.code) ? "denied" : "error";
  if (denial !== null) return "denied";
  return grant?.verdict ?? "error";
}

function reasonOf({ error, denial, grant }: Outcome): FlowReason {
  // The decision says more than the code that stands for all decisions.
  if (denial !== null && (error === null || error.code === "denied-by-policy")) return denial.decision.reason;
  return error?.code ?? grant?.reason ?? "internal";
}

function withoutQuery(path: string): string {
  const query = path.indexOf("?");
  return query < 0 ? path : path.slice(0, query);
}

/** No document makes a denial go by unseen, nor what an AUDIT policy or a dry run is there to show. */
function isAlwaysKept({ verdict, auditedBy, dryRun }: FlowRecord): boolean {
  return verdict === "denied" || verdict === "would-deny" || auditedBy !== null || dryRun !== null;
}
