import type { CardeaError } from "../core/errors.ts";
import type { RequestHead } from "../wire/http1-head.ts";
import type { Trace } from "../wire/trace-context.ts";
import type { AdmissionWait } from "./admission-wait.ts";
import type { Denial, Grant, Permit } from "./authorize.ts";
import type { Exchange } from "./exchange.ts";
import type { Forward } from "./forward.ts";
import type { LiveConnections } from "./live.ts";
import type { LocalAnswer } from "./local-answer.ts";
import type { Pair, Recorder } from "./record.ts";
import type { SeenRequest } from "./request-facts.ts";
import type { OutgoingRequest } from "./streams.ts";
import type { Tries, TriesSeen } from "./tries.ts";

/** An answer that a traffic rule gives itself. */
export interface RouteAnswer {
  readonly local: LocalAnswer;
  readonly grant: Grant;
  readonly seen: TriesSeen;
}

/** What a side (inbound or outbound) makes of a request head. */
export type Admission = SettledAdmission | WaitingAdmission;

/** Somebody has to be asked first. */
export interface WaitingAdmission {
  readonly at: "waits";
  readonly wait: AdmissionWait<SettledAdmission>;
  // For the record of a request whose caller does not wait so long.
  readonly path: string;
  readonly pair: Pair;
  readonly servicePort: number | null;
  readonly trace: Trace;
}

export type SettledAdmission =
  | {
      readonly at: "admitted";
      readonly permit: Permit;
      readonly request: OutgoingRequest;
      /** What was decided on, for a later policy; null where no policy decides. */
      readonly facts: SeenRequest | null;
      /** Issuer and subject of a verified token; left out: there is none. */
      readonly requestPrincipal?: string | null;
      /** Null where none is worked out: the head's own then stands in the record. */
      readonly path: string | null;
      readonly pair: Pair;
      readonly servicePort: number | null;
      readonly trace: Trace;
      /** What happens when a try fails. */
      readonly tries: Tries;
      /** What a traffic rule makes of the answer's fields; null: nothing. */
      readonly changeAnswer: ((headers: string[]) => void) | null;
    }
  | {
      readonly at: "answered";
      readonly answer: RouteAnswer;
      readonly path: string | null;
      readonly pair: Pair;
      readonly servicePort: number | null;
      readonly trace: Trace;
    }
  | {
      readonly at: "refused";
      readonly error: CardeaError;
      readonly denial: Denial | null;
      /** What the caller gets, by the id of the denial; left out: what the error's code stands for. */
      readonly answer?: ((denialId: string) => LocalAnswer) | null;
      readonly requestPrincipal?: string | null;
      readonly path: string | null;
      readonly pair: Pair;
      readonly servicePort: number | null;
      /** A refusal has its place in the caller's trace, too. */
      readonly trace: Trace;
    };

/** The side that a request is on: decides it, and knows who takes part. */
export interface ExchangeSide {
  readonly recorder: Recorder;
  readonly forward: Forward;
  readonly live: LiveConnections;
  /** Whether `x-cardea-` fields of an answer may pass: only another sidecar's. */
  readonly ownHeaders: "pass" | "strip";
  /** Whose TLS the record tells of: the caller's on the inbound side, the upstream's on the outbound side. */
  readonly tlsFrom: "downstream" | "upstream";
  admit(head: RequestHead): Admission;
  /** A request that had to wait was admitted, and is on its way. */
  onAdmittedLate(exchange: Exchange): void;
  /** The exchange is over. */
  onDone(exchange: Exchange): void;
}
