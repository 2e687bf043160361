import type { CardeaError } from "../core/errors.ts";
import type { RequestHead, ResponseHead } from "../wire/http1-head.ts";
import type { Permit } from "./authorize.ts";
import type { Want } from "./pool.ts";
import type { Pair } from "./record.ts";
import type { RequestFate } from "./streams.ts";
import type { KeptBodies } from "./traffic/kept-body.ts";

/** A try that ended before its answer began. */
export interface TryFailure {
  /** As the caller sent it. */
  readonly head: RequestHead;
  readonly error: CardeaError;
  readonly fate: RequestFate;
  /** What this try was sent by, and between whom. */
  readonly permit: Permit;
  readonly pair: Pair;
}

/** A try that was answered. */
export interface TryAnswer {
  /** Where a gRPC call ended with the head. */
  readonly grpcStatus: number | null;
  readonly permit: Permit;
  readonly pair: Pair;
  /** Whether the request's body is in hand. */
  readonly mayRepeat: boolean;
}

/** How a request is sent once more. */
export interface NextTry {
  readonly permit: Permit;
  readonly pair: Pair;
  readonly want: Want;
  /** Before it is sent; 0: at once. */
  readonly waitMs: number;
  /** What decides from now on. */
  readonly tries: Tries;
}

/** What is told of a request's tries in its flow record. */
export interface TriesSeen {
  /** The traffic rule that sent the request its way, or null. */
  readonly route: string | null;
  /** 1: it was sent once. */
  readonly attempts: number;
  /** Why the last try but one was not the last: an error's code or an answer's status. */
  readonly retriedFor: string | null;
}

/** What the tries of a request may ask of it. */
export interface TriesOwner {
  /** A try, or the whole request, has taken longer than it may. */
  onTimeout(scope: "try" | "request", error: CardeaError): void;
}

/**
 * What a side does about the tries of a request. Where no traffic rule speaks of a destination one object serves all
 * requests to it, and is asked for the first time when something has failed.
 */
export interface Tries {
  /** Whether it is to be told of everything that is below, and not of failures alone. */
  readonly isWatching: boolean;
  /** Where bodies are kept so that they can be sent again, or null. */
  readonly bodies: KeptBodies | null;
  /** Null: no further try. The request's body is in hand, and nothing of an answer has been passed on. */
  afterFailure(failure: TryFailure): NextTry | null;

  /** Errors: `upstream-overflow`, when the destination has enough requests under way. */
  begin(owner: TriesOwner, isRequestWhole: boolean): void;
  /** All of the request has come. */
  onRequestWhole(): void;
  /** The head of an answer. Null: it goes to the caller. */
  afterAnswer(head: ResponseHead, answer: TryAnswer): NextTry | null;
  /** A gRPC call's answer is whole. */
  onGrpcStatus(status: number | null): void;
  /** A try failed when its answer had begun, or cannot be repeated. */
  onLastFailure(failure: TryFailure): void;
  /** Calls `again` in time, unless the request ends before. */
  wait(waitMs: number, again: () => void): void;
  /** The request is over. Called once. */
  onDone(): void;
  readonly seen: TriesSeen | null;
}
