import { CardeaError, toCardeaError } from "../core/errors.ts";
import type { Latest } from "../core/latest.ts";
import type { RequestHead } from "../wire/http1-head.ts";
import type { Claims } from "../policy/claims.ts";
import { normalizePath } from "../wire/path.ts";
import { type Trace, type TraceIds, traceThrough } from "../wire/trace-context.ts";
import type { Admission, ExchangeSide, SettledAdmission } from "./admission.ts";
import type { StepAnswer } from "./admission-steps.ts";
import type { AdmissionWaits } from "./admission-wait.ts";
import type { Denial, PeerAuthorizer } from "./authorize.ts";
import type { PolicySet } from "./discovery/policy-sinks.ts";
import { Exchange } from "./exchange.ts";
import type { Forward } from "./forward.ts";
import { requestHeadersOf, takesTrailers } from "./headers.ts";
import type { LiveConnections } from "./live.ts";
import type { Pair, Recorder } from "./record.ts";
import { refuseUnread } from "./refuse-unread.ts";
import { NO_USER, SeenRequest } from "./request-facts.ts";
import type { ServiceCalls } from "./service-call.ts";
import type { DownstreamStream, RequestEvents, RequestHandler } from "./streams.ts";
import type { Tries } from "./tries.ts";
import { allowedUpgradeOf } from "./upgrade.ts";

interface InboundCallerOptions {
  readonly recorder: Recorder;
  readonly forward: Forward;
  readonly live: LiveConnections;
  readonly authorizer: PeerAuthorizer;
  readonly policy: Latest<PolicySet | null>;
  readonly traceIds: TraceIds;
  readonly tries: Tries;
  readonly waits: AdmissionWaits;
  readonly services: ServiceCalls;
  readonly pair: Pair;
  /** The value of x-forwarded-client-cert; null: there is nobody to vouch for. */
  readonly xfcc: string | null;
  /** The connection is gone, and with it all that was under way on it. */
  readonly onOver: () => void;
}

type Refusal = Extract<SettledAdmission, { at: "refused" }>;

/** What is forwarded, and the path that it is known by. */
interface Forwarded {
  readonly headers: string[];
  readonly target: string;
  readonly path: string;
  /** Of its token, where one was verified. */
  readonly claims: Claims | null;
  /** Of that token, for the record. */
  readonly requestPrincipal: string | null;
  /** As `SeenRequest` keeps them. */
  readonly userFields?: ReadonlySet<string> | undefined;
  readonly answeredBy?: string | null;
  readonly changeAnswer: ((headers: string[]) => void) | null;
}

/** The requests of one caller: who it is, its connection has proved, or it is nobody. */
export class InboundCaller implements RequestHandler, ExchangeSide {
  readonly recorder: Recorder;
  readonly forward: Forward;
  readonly live: LiveConnections;
  // Nobody but a sidecar speaks of denials; the app does not.
  readonly ownHeaders = "strip";
  readonly tlsFrom = "downstream";
  readonly #options: InboundCallerOptions;
  /** What is under way; a new policy is asked about it again. */
  readonly #open: Exchange[] = [];
  #hasLeft = false;

  constructor(options: InboundCallerOptions) {
    this.#options = options;
    this.recorder = options.recorder;
    this.forward = options.forward;
    this.live = options.live;
  }

  begin(head: RequestHead, stream: DownstreamStream): RequestEvents {
    const exchange = new Exchange(this, head, stream);
    exchange.begin();
    if (exchange.isForwarding) this.onAdmittedLate(exchange);
    return exchange;
  }

  onAdmittedLate(exchange: Exchange): void {
    exchange.place = this.#open.push(exchange) - 1;
  }

  refuse(error: CardeaError, stream: DownstreamStream, isGrpc: boolean): void {
    refuseUnread(error, { recorder: this.recorder, pair: this.#options.pair, stream, isGrpc });
  }

  /** A new policy is in force. */
  recheck(): void {
    // Whoever loses its permission leaves the list meanwhile.
    for (const exchange of this.#open.slice()) this.#recheck(exchange);
  }

  /**
   * What it was let in as is decided on first, so that a DENY on what its token said holds still; then as what it is now. Who
   * was vouched for by a rule, a key or a time that is gone has no more than anybody.
   */
  #recheck(exchange: Exchange): void {
    const { policy, authorizer } = this.#options;
    const set = policy.get();
    const seen = exchange.facts!;
    if (!this.#keeps(exchange, seen, null) || set === null || (set.steps === null && seen.claims === null)) return;
    const parts = { peer: authorizer.peerOf(seen), target: exchange.head.path };
    const now = set.steps?.identifyAgain(exchange.head, seen, parts) ?? { seen: seen.madeFor(NO_USER), denied: null };
    if (!(now instanceof Promise)) this.#keeps(exchange, now.seen, now.denied);
    else
      void now.then((found) => {
        // A later set has asked for itself.
        if (exchange.isForwarding && policy.get() === set) this.#keeps(exchange, found.seen, found.denied);
      });
  }

  /** False: it has lost its permission. */
  #keeps(exchange: Exchange, seen: SeenRequest, before: StepAnswer): boolean {
    const { authorizer, policy } = this.#options;
    const steps = policy.get()?.steps ?? null;
    const answer = before ?? steps?.standing(authorizer.peerOf(seen), seen, seen.answeredBy) ?? null;
    const authorization = authorizer.authorizeRequest(seen, answer === null ? null : answer.decision);
    if (!authorization.allow) exchange.losePermission(authorization.denial, answer?.error.message);
    return authorization.allow;
  }

  onDone(exchange: Exchange): void {
    if (exchange.place >= 0) this.#forget(exchange);
    if (this.#hasLeft && this.#open.length === 0) this.#options.onOver();
  }

  /** The connection speaks HTTP no more: it is closed, or a tunnel, which a new policy still concerns. */
  leave(): void {
    this.#hasLeft = true;
    if (this.#open.length === 0) this.#options.onOver();
  }

  admit(head: RequestHead): Admission {
    const set = this.#options.policy.get();
    if (set === null) return this.#refused(head, new CardeaError("policy-not-loaded", "no policy has arrived yet"));
    // CONNECT would make the caller choose where we dial.
    if (head.method === "CONNECT") return this.#refused(head, new CardeaError("method-not-allowed", ""));
    const normalized = normalizePath(head.path, set.settings.pathNormalization);
    if (!normalized.ok) return this.#refused(head, normalized.error);
    const { path: target, pathForMatch: path } = normalized;
    try {
      const nothing = { claims: null, requestPrincipal: null, changeAnswer: null };
      const forwarded = { headers: requestHeadersOf(head), target, path, ...nothing };
      return set.steps === null ? this.#decide(head, forwarded, null) : this.#askFirst(head, forwarded, set);
    } catch (thrown) {
      return { ...this.#refused(head, toCardeaError(thrown)), path };
    }
  }

  /** The steps that come before the decision; where one has to wait, so does the request. */
  #askFirst(head: RequestHead, forwarded: Forwarded, set: PolicySet): Admission {
    const { authorizer, policy, waits, services, pair, traceIds } = this.#options;
    const side = {
      waits,
      services,
      peer: authorizer.peerOf(new SeenRequest({ method: head.method, host: head.host ?? "", ...forwarded })),
      pair,
      trace: () => traceThrough(requestHeadersOf(head), traceIds),
      isInForce: () => policy.get() === set,
      decide: (asked: Forwarded, answer: StepAnswer) => this.#decide(head, asked, answer),
      beginAnew: () => this.admit(head),
      refuse: (error: CardeaError) => ({ ...this.#refused(head, error), path: forwarded.path }),
    };
    return set.steps!.admit({ head, ...forwarded }, side);
  }

  /** The last takes its place: a set would give each exchange a hash first, which costs more than all else here. */
  #forget(exchange: Exchange): void {
    const last = this.#open.pop()!;
    if (last !== exchange) {
      this.#open[exchange.place] = last;
      last.place = exchange.place;
    }
    exchange.place = -1;
  }

  #decide(
    head: RequestHead,
    { headers, target, path, claims, requestPrincipal, userFields, answeredBy, changeAnswer }: Forwarded,
    before: StepAnswer,
  ): SettledAdmission {
    const { authorizer, pair, traceIds, xfcc } = this.#options;
    const { method, framing, neverIndexed = null } = head;
    const seen = new SeenRequest({ method, path, host: head.host ?? "", headers, claims, userFields, answeredBy });
    const authorization = authorizer.authorizeRequest(seen, before === null ? null : before.decision);
    const trace = traceThrough(headers, traceIds);
    if (!authorization.allow) return { ...this.#denied(authorization.denial, trace, before), path, requestPrincipal };
    const upgrade = allowedUpgradeOf(head);
    if (xfcc !== null) headers.push("x-forwarded-client-cert", xfcc);
    const request = {
      method,
      target,
      headers,
      framing,
      upgrade,
      takesTrailers: takesTrailers(head),
      neverIndexed,
    };
    const { permit } = authorization;
    const seenAs = { facts: seen, requestPrincipal, path, pair, servicePort: null, trace };
    return { at: "admitted", permit, request, ...seenAs, tries: this.#options.tries, changeAnswer };
  }

  #denied(denial: Denial, trace: Trace, before: StepAnswer): Refusal {
    const code = denial.decision.reason === "policy-not-loaded" ? "policy-not-loaded" : "denied-by-policy";
    const error = before === null ? new CardeaError(code, "") : before.error;
    const answer = before === null ? null : before.answer;
    const { pair } = this.#options;
    return { at: "refused", error, denial, answer, path: null, pair, servicePort: null, trace };
  }

  #refused(head: RequestHead, error: CardeaError): Refusal {
    const { pair, traceIds } = this.#options;
    const trace = traceThrough(requestHeadersOf(head), traceIds);
    return { at: "refused", error, denial: null, path: null, pair, servicePort: null, trace };
  }
}
