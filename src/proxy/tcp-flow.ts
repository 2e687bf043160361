import { CardeaError, toCardeaError } from "../core/errors.ts";
import type { Latest } from "../core/latest.ts";
import type { EndedBy } from "../observe/flow.ts";
import { type Trace, type TraceIds, traceThrough } from "../wire/trace-context.ts";
import type { StepAnswer } from "./admission-steps.ts";
import type { AdmissionWaits } from "./admission-wait.ts";
import type { Authorization, Denial, PeerAuthorizer, Permit } from "./authorize.ts";
import type { OpenedConnection } from "./connect.ts";
import type { PolicySet } from "./discovery/policy-sinks.ts";
import type { Forward } from "./forward.ts";
import type { LiveConnection, LiveConnections } from "./live.ts";
import { enderOf, isDenial, type Pair, type Recorder } from "./record.ts";
import type { ServiceCalls } from "./service-call.ts";
import type { Detached } from "./streams.ts";
import type { ConnectTries } from "./traffic/connect-tries.ts";
import { Tunnel } from "./tunnel.ts";

/** The caller's end of an opaque connection. */
export interface TcpCaller {
  /** The upstream is there: gives the connection away. */
  open(): Detached;
  /** It will not be opened. */
  refuse(error: CardeaError, denialId: string | null): void;
}

interface TcpFlowOptions {
  readonly recorder: Recorder;
  readonly forward: Forward;
  readonly live: LiveConnections;
  readonly caller: TcpCaller;
  readonly pair: Pair;
  /** Whose TLS the record tells of. */
  readonly tlsFrom: "downstream" | "upstream";
  readonly servicePort: number | null;
  readonly startedMs: number;
  /** The server name in the app's own TLS, where it was read. */
  readonly appSni?: string | null;
  /** Through a tunnel the two sides' records are told to be of one connection by the trace: many share its ports. */
  readonly trace: TcpTrace;
  /** Where another workload may take what the first did not. */
  readonly tries?: ConnectTries;
}

/** `from`: what the caller's CONNECT carried. `ids`: to begin a trace with, where we are the ones to CONNECT. */
export type TcpTrace = { readonly from: Trace } | { readonly ids: TraceIds } | null;

/** One opaque connection: permitted, connected, carried and recorded once. */
export class TcpFlow implements LiveConnection {
  /** Whoever was asked outside, and let it pass; null: nobody was. */
  answeredBy: string | null = null;
  readonly #options: TcpFlowOptions;
  #pair: Pair;
  #permit: Permit | null = null;
  #denial: Denial | null = null;
  #trace: Trace | null = null;
  #headers: string[] | null = null;
  #tunnel: Tunnel | null = null;
  #upstreamPort: number | null = null;
  #release: (() => void) | null = null;
  #isOver = false;
  #onOver: (() => void) | null = null;

  constructor(options: TcpFlowOptions) {
    this.#options = options;
    this.#pair = options.pair;
    if (options.trace !== null && "from" in options.trace) this.#trace = options.trace.from;
  }

  /** Never rejects: whatever goes wrong is told to the caller and recorded. `onOver` is called once, at the end. */
  async carry(permit: Permit, onOver?: () => void): Promise<void> {
    this.#onOver = onOver ?? null;
    // While it is connected nobody else holds its place: a sidecar that is drained waits for it as for any.
    this.#options.live.add(this);
    for (let next: Permit | null = permit; next !== null; ) {
      this.#permit = next;
      next = await this.#tryOne(next);
    }
  }

  /** Somebody has to be asked first. `onOver`: it has come to its end meanwhile. */
  hold(onOver: () => void): void {
    this.#onOver = onOver;
    this.#options.live.add(this);
  }

  /** Null: it is carried, or over. Else where to try next. */
  async #tryOne(permit: Permit): Promise<Permit | null> {
    try {
      const upstream = await this.#options.forward.connect(permit, this.#headersOf(permit));
      this.#options.tries?.onDone();
      if (this.#isOver) discard(upstream);
      else this.#join(upstream);
      return null;
    } catch (thrown) {
      return this.#afterFailure(toCardeaError(thrown));
    }
  }

  #afterFailure(error: CardeaError): Permit | null {
    const { tries } = this.#options;
    if (this.#isOver) {
      tries?.onDone();
      return null;
    }
    const next = tries?.afterFailure(error) ?? null;
    if (next === null) {
      this.refuse(error, null);
      return null;
    }
    this.#pair = { ...this.#pair, destination: next.destination };
    return next.permit;
  }

  /** Of the CONNECT, where there is one: all tries are of one trace. */
  #headersOf({ target }: Permit): readonly string[] {
    const { trace } = this.#options;
    if (target.tunnelTo === null || trace === null || !("ids" in trace)) return [];
    if (this.#headers === null) {
      this.#headers = [];
      // Opaque connections have no spans.
      this.#trace = traceThrough(this.#headers, { ...trace.ids, isSampled: () => false });
    }
    return this.#headers;
  }

  /** Ends the flow before it is carried. */
  refuse(error: CardeaError, denial: Denial | null): void {
    if (this.#isOver) return;
    this.#denial = denial;
    const id = this.#options.recorder.newId();
    this.#finish(id, error, enderOf(error.code));
    this.#options.caller.refuse(error, isDenial(error.code) ? id : null);
  }

  /** The caller has gone while the upstream was being connected. */
  abandon(error: CardeaError): void {
    if (!this.#isOver) this.#finish(this.#options.recorder.newId(), error, "downstream");
  }

  /** A new policy denies what was permitted. */
  losePermission(denial: Denial, why = ""): void {
    const error = new CardeaError("permission-lost", why);
    if (this.#tunnel === null) {
      this.refuse(error, denial);
      return;
    }
    this.#denial = denial;
    this.#tunnel.endNow(error);
  }

  onTick(): void {
    // Connecting has a time-out of its own.
  }

  drain(): void {}

  endNow(error: CardeaError): void {
    this.end(error);
  }

  /** Ends the flow while it is carried. */
  end(error: CardeaError): void {
    if (this.#tunnel === null) this.refuse(error, null);
    else this.#tunnel.endNow(error);
  }

  #join({ connection, tls, lifetime, release }: OpenedConnection): void {
    this.#release = release ?? null;
    const { recorder, live, caller, tlsFrom } = this.#options;
    // One of its own, by which it is known until it ends: a caller's connections may share theirs.
    this.#pair = tlsFrom === "upstream" ? { ...this.#pair, tls } : { ...this.#pair };
    this.#upstreamPort = connection.local.port;
    recorder.opened(this.#pair);
    const upstream = { connection, early: null, lifetime };
    this.#tunnel = new Tunnel(caller.open(), upstream, {
      live,
      onMoved: (received, sent) => recorder.moved(this.#pair, received, sent),
      onEnd: (error, endedBy) => this.#finish(recorder.newId(), error, endedBy),
    });
    this.#tunnel.begin();
    live.delete(this);
  }

  #finish(id: string, error: CardeaError | null, endedBy: EndedBy): void {
    this.#isOver = true;
    this.#options.live.delete(this);
    const { recorder, servicePort, startedMs, appSni, tries } = this.#options;
    const outcome = {
      id,
      pair: this.#pair,
      grant: this.#permit?.grant ?? null,
      denial: this.#denial,
      error,
      startedMs,
      bytesReceived: this.#tunnel?.bytesReceived ?? 0,
      bytesSent: this.#tunnel?.bytesSent ?? 0,
      endedBy,
      servicePort,
      upstreamPort: this.#upstreamPort,
      appSni: appSni ?? null,
      tries: tries?.seen ?? null,
    };
    recorder.connection(outcome, this.#trace);
    this.#release?.();
    this.#onOver?.();
  }
}

/** By a reset: the far side has begun to serve it, and must not take this for an end. */
function discard({ connection, release }: OpenedConnection): void {
  connection.destroy({ reset: true });
  release?.();
}

interface TcpAdmissionOptions {
  readonly authorizer: PeerAuthorizer;
  readonly policy: Latest<PolicySet | null>;
  readonly waits: AdmissionWaits;
  readonly services: ServiceCalls;
}

/** What is decided of an opaque connection. */
export type TcpAdmission =
  | {
      readonly at: "decided";
      readonly authorization: Authorization;
      readonly before: StepAnswer;
      /** As `TcpFlow` keeps it. */
      readonly answeredBy: string | null;
    }
  | { readonly at: "failed"; readonly error: CardeaError };

/** Authorizes an opaque connection, at once or when somebody else has been asked; `carry` is called if it is permitted. */
export function authorizeFlow(flow: TcpFlow, options: TcpAdmissionOptions, carry: (permit: Permit) => void): void {
  const { authorizer, policy } = options;
  const decide = (before: StepAnswer, answeredBy: string | null): TcpAdmission => ({
    at: "decided",
    authorization: authorizer.authorizeConnection(before === null ? null : before.decision),
    before,
    answeredBy,
  });
  const settle = (admission: TcpAdmission): void => {
    if (admission.at === "failed") flow.refuse(admission.error, null);
    else if (admission.authorization.allow) {
      flow.answeredBy = admission.answeredBy;
      carry(admission.authorization.permit);
    } else refuse(flow, admission.authorization, admission.before);
  };
  const begin = () => {
    const set = policy.get();
    if (set === null || set.steps === null) return decide(null, null);
    return set.steps.admitConnection({
      ...options,
      peer: authorizer.peer,
      isInForce: () => policy.get() === set,
      decide,
      begin,
    });
  };
  const admission = begin();
  if (admission.at !== "waits") settle(admission);
  else {
    flow.hold(() => admission.wait.cancel());
    admission.wait.begin({ onSettled: settle, onBodyWanted: () => {} });
  }
}

/** A new policy is in force: whether it still permits a connection that is open. */
export function recheckFlow(flow: TcpFlow, authorizer: PeerAuthorizer, set: PolicySet | null): void {
  const answer = set?.steps?.standing(authorizer.peer, null, flow.answeredBy) ?? null;
  const authorization = authorizer.authorizeConnection(answer === null ? null : answer.decision);
  if (!authorization.allow) flow.losePermission(authorization.denial, answer?.error.message);
}

function refuse(flow: TcpFlow, { denial }: Extract<Authorization, { allow: false }>, before: StepAnswer): void {
  const code = denial.decision.reason === "policy-not-loaded" ? "policy-not-loaded" : "denied-by-policy";
  flow.refuse(before === null ? new CardeaError(code, "") : before.error, denial);
}
