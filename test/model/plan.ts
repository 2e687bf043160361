import type { HttpProtocol } from "../../src/proxy/streams.ts";
import type { TunnelPlan } from "./tunnel-plan.ts";

// What one case of the model test is made of. Everything that happens in it is written here or drawn from its seed.

/** A mesh, and the exchanges that go through it at the same time. */
export interface World {
  readonly caller: HttpProtocol;
  readonly between: HttpProtocol;
  readonly app: HttpProtocol;
  /** Of the network's disorder. */
  readonly seed: number;
  readonly settings: Settings;
  readonly exchanges: readonly Plan[];
  readonly tunnels: readonly TunnelPlan[];
  /** What the caller's sidecar is told to do about failures; null: nothing. */
  readonly retry: RetryRule | null;
  readonly drain: Drain | null;
}

/** One sidecar gets its SIGTERM while all this is under way. */
export interface Drain {
  readonly of: "caller" | "app";
  readonly afterTurns: number;
}

/** A route's `retries`. */
export interface RetryRule {
  /** `reset` asks for next to nothing that can happen here: the app's failures reach the caller's sidecar as answers. */
  readonly on: "5xx" | "gateway-error" | "reset";
  readonly attempts: number;
}

/** What an app does with a request instead of what is planned: an answer of its own, or it gives the request up. */
export type Failure = 500 | 503 | "cut";

/** What the programs at either end ask of their peers. */
export interface Settings {
  /** HTTP/2 windows of streams. */
  readonly callerWindow: number;
  readonly appWindow: number;
  /** How many streams the app takes at once. */
  readonly appStreamsMax: number;
  /** How many connections a caller of HTTP/1.1 opens. */
  readonly callerConnections: number;
  /** Whether opaque connections go by HBONE, where the sidecars speak HTTP/2; else each by mutual TLS of its own. */
  readonly usesHbone: boolean;
  /** Whether policy lets opaque connections through. */
  readonly permitsTcp: boolean;
}

export type Method = "GET" | "HEAD" | "POST" | "PUT" | "DELETE";

/** One request and its answer, as both ends mean it. */
export interface Plan {
  readonly method: Method;
  /** Another policy rule than that of the others: refused. */
  readonly isDenied: boolean;
  /** How many turns later than the first it begins. */
  readonly delayTurns: number;
  /** Null: a request without a body. */
  readonly request: Body | null;
  readonly expectsContinue: boolean;
  readonly answer: AnswerPlan;
  readonly cut: Cut | null;
  /** The first times that it reaches the app. Only where nobody gives up and nothing is refused. */
  readonly failures: readonly Failure[];
}

export interface Body {
  readonly bytes: number;
  /** Said beforehand, or not. */
  readonly framing: "length" | "unknown";
  /** Sizes of the pieces in which it is written, in turn. */
  readonly pieces: readonly number[];
  readonly hasTrailers: boolean;
  /** The reader waits for so many turns after each piece. */
  readonly readerTurns: number;
}

export interface AnswerPlan {
  readonly status: number;
  /** How many 103 come before it. */
  readonly hints: number;
  readonly body: Body;
  /** `at-once`: without waiting for the request's body, and perhaps ended before it. */
  readonly when: "at-once" | "after-request";
}

/** Somebody gives up, when the other has got so many bytes of what is being sent. */
export interface Cut {
  readonly by: "caller" | "app";
  /** `request`: while it is sent; the app has not answered. `answer`: within the answer's body. */
  readonly within: "request" | "answer";
  readonly afterBytes: number;
}

/** Whether an answer has a body by HTTP's rules, whatever its fields say. RFC 9110 section 6.4.1. */
export function answerBytesOf({ method, answer }: Plan): number {
  return method === "HEAD" || answer.status === 204 || answer.status === 304 ? 0 : answer.body.bytes;
}

export function pathOf(plan: Plan, index: number): string {
  return plan.isDenied ? `/denied/${index}` : `/x/${index}`;
}
