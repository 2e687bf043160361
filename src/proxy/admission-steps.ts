import { type CardeaError, toCardeaError } from "../core/errors.ts";
import type { Claims } from "../policy/claims.ts";
import type { Decision } from "../policy/decision.ts";
import type { PeerFacts } from "../policy/facts.ts";
import { hasBody } from "../wire/http1-body.ts";
import type { RequestHead } from "../wire/http1-head.ts";
import type { Trace } from "../wire/trace-context.ts";
import type { Admission, SettledAdmission } from "./admission.ts";
import { AdmissionWait, type AdmissionWaits } from "./admission-wait.ts";
import { AskedBody } from "./asked-body.ts";
import { requestHeadersOf } from "./headers.ts";
import type { LocalAnswer } from "./local-answer.ts";
import type { Pair } from "./record.ts";
import { NO_USER, SeenRequest } from "./request-facts.ts";
import type { ServiceCalls } from "./service-call.ts";
import type { TcpAdmission } from "./tcp-flow.ts";

interface AskedParts {
  readonly head: RequestHead;
  readonly peer: PeerFacts;
  readonly headers: string[];
  readonly target: string;
  readonly path: string;
}

/**
 * A request before it is decided, as its steps find it and leave it. What they make of it is both what is decided on and
 * what is forwarded, so a step changes it here or nowhere.
 */
export class AskedRequest {
  /** As the caller sent it. */
  readonly head: RequestHead;
  readonly peer: PeerFacts;
  /** Normalised, without query. No step changes it: what follows was routed by it. */
  readonly path: string;
  /** Normalised, with its query. */
  target: string;
  /** As they will be forwarded, `host` first; what we add ourselves comes later. */
  headers: string[];
  /** Of the token that a step has verified; null: none has. */
  claims: Claims | null = null;
  /** Issuer and subject of that token, for the record. */
  requestPrincipal: string | null = null;
  /** Fields that a step has written from tokens, flat; and what such are called, in lower case. */
  userHeaders: readonly string[] = [];
  userFields: ReadonlySet<string> | undefined = undefined;
  /** Whoever was asked outside, and let it pass. */
  answeredBy: string | null = null;
  /** What becomes of the answer's fields; null: nothing. */
  changeAnswer: ((headers: string[]) => void) | null = null;

  constructor({ head, peer, headers, target, path }: AskedParts) {
    this.head = head;
    this.peer = peer;
    this.headers = headers;
    this.target = target;
    this.path = path;
  }

  /** What policies see of it as it is now. */
  facts(): SeenRequest {
    const { head, path, headers, claims } = this;
    return new SeenRequest({ method: head.method, path, host: head.host ?? "", headers, claims });
  }
}

/** A step says no: nothing after it is asked, and the decision is the request's. */
export interface StepDenial {
  readonly decision: Decision;
  readonly error: CardeaError;
  /** What the caller gets, by the id of the denial; null: what the error's code stands for. */
  readonly answer: ((denialId: string) => LocalAnswer) | null;
}

/** Null: go on. */
export type StepAnswer = StepDenial | null;

/** What a step may use while a request waits for it. */
export class Asking {
  /** The request's body, for steps that have to see it. */
  readonly body: AskedBody;
  /** The mesh's services, called as our own app would. */
  readonly services: ServiceCalls;
  /** Of a connection whose bytes nobody reads: whoever was asked outside, and let it pass. */
  answeredBy: string | null = null;
  #controller: AbortController | null = null;
  #isOver = false;

  constructor(body: AskedBody, services: ServiceCalls) {
    this.body = body;
    this.services = services;
  }

  /** Aborted once nobody waits any more: the caller has gone, or its time is up. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#isOver) this.#controller.abort();
    return this.#controller.signal;
  }

  end(): void {
    this.#isOver = true;
    this.body.drop();
    this.#controller?.abort();
  }
}

/** Something that comes before the decision: authenticate, then whoever is to be asked outside. Belongs to a policy set. */
export interface AdmissionStep {
  /**
   * Answers at once where it can: a request waits for promises alone. Whatever it throws or rejects with refuses the
   * request, by the error's code.
   */
  ask(asked: AskedRequest, asking: Asking): StepAnswer | Promise<StepAnswer>;
  /** The same of a connection whose bytes nobody reads. Left out: it has nothing to say of those. */
  askConnection?(peer: PeerFacts, asking: Asking): StepAnswer | Promise<StepAnswer>;
  /**
   * A request that was let in under another set: what the step finds now of who it is for. `asked` is as the caller sent it.
   * Left out: this step learns of nobody.
   */
  identifyAgain?(asked: AskedRequest): StepAnswer | Promise<StepAnswer>;
  /** Whether a request or connection that was let in under another set may go on, as far as this step goes. */
  standing?(peer: PeerFacts, request: SeenRequest | null, answeredBy: string | null): StepAnswer;
}

/** Who a request that is under way is for by a new set; or why it would not be let in any more. */
export type Identified = { readonly seen: SeenRequest; readonly denied: StepAnswer };

/** What a request's side does for it while its steps are asked. */
interface AskingSide {
  readonly waits: AdmissionWaits;
  readonly services: ServiceCalls;
  readonly peer: PeerFacts;
  /** For the record of a request whose caller does not wait so long. */
  readonly pair: Pair;
  trace(): Trace;
  /** Whether the policies that these steps belong to are still in force. */
  isInForce(): boolean;
  decide(asked: AskedRequest, answer: StepAnswer): SettledAdmission;
  /** From the beginning, by the policies that are in force now. */
  beginAnew(): Admission;
  refuse(error: CardeaError): SettledAdmission;
}

/** The same for an opaque connection. */
interface AskingConnection extends Pick<AskingSide, "waits" | "services" | "peer" | "isInForce"> {
  decide(answer: StepAnswer, answeredBy: string | null): TcpAdmission;
  begin(): TcpAdmission | WaitingConnection;
}

interface WaitingConnection {
  readonly at: "waits";
  readonly wait: AdmissionWait<TcpAdmission>;
}

/** The steps of a policy set, in order. Made when the first policy comes that has one. */
export class AdmissionSteps {
  readonly #steps: readonly AdmissionStep[];

  constructor(steps: readonly AdmissionStep[]) {
    this.#steps = steps;
  }

  /** Asks them, and decides; where one of them has to wait, so does the request. */
  admit(parts: Omit<AskedParts, "peer">, side: AskingSide): Admission {
    const { waits, services, peer, pair } = side;
    const asked = new AskedRequest({ ...parts, peer });
    const asking = new Asking(new AskedBody(waits, !hasBody(parts.head.framing)), services);
    const answer = askSteps(this.#steps, (step) => step.ask(asked, asking));
    if (!(answer instanceof Promise)) return side.decide(asked, answer);
    const wait = new AdmissionWait<SettledAdmission>(waits, {
      asking,
      answer,
      conclude: (given) => (side.isInForce() ? side.decide(asked, given) : side.beginAnew()),
      refuse: (error) => side.refuse(error),
    });
    return { at: "waits", wait, path: asked.path, pair, servicePort: null, trace: side.trace() };
  }

  admitConnection(side: AskingConnection): TcpAdmission | WaitingConnection {
    const { waits, services, peer } = side;
    const asking = new Asking(new AskedBody(waits, true), services);
    try {
      const answer = askSteps(this.#steps, (step) => step.askConnection?.(peer, asking) ?? null);
      if (!(answer instanceof Promise)) return side.decide(answer, asking.answeredBy);
      const wait = new AdmissionWait<TcpAdmission>(waits, {
        asking,
        answer,
        conclude: (given) => (side.isInForce() ? side.decide(given, asking.answeredBy) : side.begin()),
        refuse: (error) => ({ at: "failed", error }),
      });
      return { at: "waits", wait };
    } catch (thrown) {
      return { at: "failed", error: toCardeaError(thrown) };
    }
  }

  /** Who a request that is under way is for now; a promise where a token has to be verified once more. Never rejects. */
  identifyAgain(
    head: RequestHead,
    seen: SeenRequest,
    parts: Pick<AskedParts, "peer" | "target">,
  ): Identified | Promise<Identified> {
    const asked = new AskedRequest({ head, path: seen.path, headers: requestHeadersOf(head), ...parts });
    const identified = (denied: StepAnswer): Identified => ({
      seen: seen.madeFor(asked.claims === null ? NO_USER : { claims: asked.claims, fields: asked.userHeaders }),
      denied,
    });
    const answer = askSteps(this.#steps, (step) => identifyBy(step, asked));
    return answer instanceof Promise
      ? answer.then(identified, (thrown: unknown) => identified(notVerified(thrown)))
      : identified(answer);
  }

  /** Whether what is under way may go on by the steps alone. `request`: null for bytes that nobody reads. */
  standing(peer: PeerFacts, request: SeenRequest | null, answeredBy: string | null): StepAnswer {
    for (const step of this.#steps) {
      const answer = step.standing?.(peer, request, answeredBy) ?? null;
      if (answer !== null) return answer;
    }
    return null;
  }
}

function identifyBy(step: AdmissionStep, asked: AskedRequest): StepAnswer | Promise<StepAnswer> {
  try {
    return step.identifyAgain?.(asked) ?? null;
  } catch (thrown) {
    return notVerified(thrown);
  }
}

/** A fault of ours, and no verdict: what cannot be asked again must not go on as if it had been. */
function notVerified(thrown: unknown): StepDenial {
  const decision: Decision = { allow: false, policy: null, rule: null, reason: "token-invalid" };
  return { decision, error: toCardeaError(thrown), answer: null };
}

type Ask = (step: AdmissionStep) => StepAnswer | Promise<StepAnswer>;

/** Asks the steps in turn, up to the first that says no. A promise only if one of them gave one. */
function askSteps(steps: readonly AdmissionStep[], ask: Ask): StepAnswer | Promise<StepAnswer> {
  for (const [index, step] of steps.entries()) {
    const answer = ask(step);
    if (answer instanceof Promise) return askRest(answer, steps.slice(index + 1), ask);
    if (answer !== null) return answer;
  }
  return null;
}

async function askRest(first: Promise<StepAnswer>, rest: readonly AdmissionStep[], ask: Ask): Promise<StepAnswer> {
  return (await first) ?? askSteps(rest, ask);
}
