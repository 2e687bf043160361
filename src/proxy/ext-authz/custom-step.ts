import { CardeaError, toCardeaError } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";
import type { CompiledPolicy } from "../../policy/compile.ts";
import {
  bindPeer,
  type Decision,
  decideBound,
  decideTcp,
  type PeerFacts,
  type RequestFacts,
} from "../../policy/decide.ts";
import type { ExtensionProvider } from "../../policy/extension-provider.ts";
import type { AdmissionStep, AskedRequest, Asking, StepAnswer, StepDenial } from "../admission-steps.ts";
import type { BodyBeginning } from "../asked-body.ts";
import { isGrpcCall } from "../grpc.ts";
import { deniedAnswer } from "./denied-answer.ts";
import { connectionCheck, grpcCheck, readGrpcVerdict } from "./grpc-check.ts";
import { applyEdits } from "./header-edits.ts";
import { httpCheck, readHttpVerdict } from "./http-check.ts";
import type { ExtAuthzVerdict } from "./verdict.ts";

interface CustomStepOptions {
  readonly provider: ExtensionProvider;
  /** The CUSTOM policies as DENY ones: where one would deny, the provider is asked. */
  readonly matches: CompiledPolicy;
  readonly clock: Clock;
}

/** Asks the provider of a workload's CUSTOM policies about the requests that they match. Whatever goes wrong denies. */
export class CustomStep implements AdmissionStep {
  readonly #options: CustomStepOptions;
  /** Who is asked, whatever else a later set says of it. */
  readonly #server: string;

  constructor(options: CustomStepOptions) {
    this.#options = options;
    const { name, protocol, service, port, http } = options.provider;
    this.#server = `${name} ${protocol} ${service}:${port}${http.pathPrefix}`;
  }

  ask(asked: AskedRequest, asking: Asking): StepAnswer | Promise<StepAnswer> {
    const matched = decideBound(bindPeer(this.#options.matches, asked.peer), asked.facts());
    return matched.reason === "deny-rule-matched" ? this.#check(asked, asking, matched) : null;
  }

  askConnection(peer: PeerFacts, asking: Asking): StepAnswer | Promise<StepAnswer> {
    const matched = decideTcp(this.#options.matches, peer);
    return matched.reason === "deny-rule-matched" ? this.#checkConnection(peer, asking, matched) : null;
  }

  /**
   * A server is asked once about each exchange, as with Envoy. What it has not been asked about ends where one of its rules
   * matches now: nobody has let it pass.
   */
  standing(peer: PeerFacts, request: RequestFacts | null, answeredBy: string | null): StepAnswer {
    const { provider, matches } = this.#options;
    const isAnswered = answeredBy === this.#server;
    const matched = request === null ? decideTcp(matches, peer) : decideBound(bindPeer(matches, peer), request);
    if (isAnswered || matched.reason !== "deny-rule-matched") return null;
    const why = `the provider ${provider.name} has not been asked about it, and a new policy revision wants that`;
    return {
      decision: decisionOf(matched, "custom-failed"),
      error: new CardeaError("denied-by-policy", why),
      answer: null,
    };
  }

  /** Of bytes only the gRPC form can be asked; Istio passes the policy over where its provider speaks HTTP. */
  async #checkConnection(peer: PeerFacts, asking: Asking, matched: Decision): Promise<StepAnswer> {
    const { provider, clock } = this.#options;
    const denied = (reason: "custom-denied" | "custom-failed", why: string): StepDenial => {
      const error = new CardeaError("denied-by-policy", `the provider ${provider.name}: ${why}`);
      return { decision: decisionOf(matched, reason), error, answer: null };
    };
    if (provider.protocol === "http") return denied("custom-failed", "envoyExtAuthzHttp cannot be asked about TCP");
    try {
      const check = connectionCheck(peer, { provider, signal: asking.signal, nowMs: clock.wallMs() });
      const verdict = readGrpcVerdict(await asking.services.call(check));
      if (verdict.at !== "allowed") return denied("custom-denied", "denies");
      asking.answeredBy = this.#server;
      return null;
    } catch (thrown) {
      const { code, message } = toCardeaError(thrown);
      return denied("custom-failed", `${code}: ${message}`);
    }
  }

  async #check(asked: AskedRequest, asking: Asking, matched: Decision): Promise<StepAnswer> {
    const { provider } = this.#options;
    try {
      const body = await this.#bodyFor(asked, asking);
      if (body === "too-long") return this.#refused(asked, matched, TOO_LONG);
      const verdict = await this.#verdictOn(asked, body, asking);
      if (verdict.at === "denied") {
        const error = new CardeaError("denied-by-policy", `the provider ${provider.name} denies: ${verdict.status}`);
        return { decision: decisionOf(matched, "custom-denied"), error, answer: this.#answerOf(asked, verdict) };
      }
      applyEdits(asked.headers, verdict.request);
      asked.answeredBy = this.#server;
      if (verdict.answer.length > 0) asked.changeAnswer = (headers) => applyEdits(headers, verdict.answer);
      return null;
    } catch (thrown) {
      const { code, message } = toCardeaError(thrown);
      const why = { status: provider.statusOnError, why: message === "" ? code : `${code}: ${message}` };
      return this.#refused(asked, matched, why);
    }
  }

  /** Null: the provider is not to see it. */
  async #bodyFor(asked: AskedRequest, asking: Asking): Promise<BodyBeginning | "too-long" | null> {
    const { body } = this.#options.provider;
    // What comes behind the head of an upgrade is the other protocol's.
    if (body === null || asked.head.upgrade !== null) return null;
    const beginning = await asking.body.read(body.bytesMax);
    return beginning.isWhole || body.mayBePartial ? beginning : "too-long";
  }

  async #verdictOn(asked: AskedRequest, body: BodyBeginning | null, asking: Asking): Promise<ExtAuthzVerdict> {
    const { provider, clock } = this.#options;
    const { signal, services } = asking;
    if (provider.protocol === "http")
      return readHttpVerdict(await services.call(httpCheck(asked, body, { provider, signal })), provider);
    const check = grpcCheck(asked, body, { provider, signal, nowMs: clock.wallMs() });
    return readGrpcVerdict(await services.call(check));
  }

  #refused(asked: AskedRequest, matched: Decision, { status, why }: Refusal): StepDenial {
    const error = new CardeaError("denied-by-policy", `the provider ${this.#options.provider.name}: ${why}`);
    const body = Buffer.from(status === 413 ? "the body is too long\n" : "RBAC: access denied\n");
    const answer = this.#answerOf(asked, { status, headers: ["content-type", "text/plain"], body });
    return { decision: decisionOf(matched, "custom-failed"), error, answer };
  }

  #answerOf({ head }: AskedRequest, verdict: Parameters<typeof deniedAnswer>[0]): StepDenial["answer"] {
    return deniedAnswer(verdict, { method: head.method, isGrpc: isGrpcCall(head) });
  }
}

interface Refusal {
  readonly status: number;
  readonly why: string;
}

const TOO_LONG: Refusal = { status: 413, why: "the body is longer than maxRequestBytes" };

function decisionOf({ policy, rule }: Decision, reason: "custom-denied" | "custom-failed"): Decision {
  return { allow: false, policy, rule, reason };
}
