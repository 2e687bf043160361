/** A connection that carries bytes both ways, whatever they are. */
export interface TunnelPlan {
  /**
   * `websocket`: a request of orders' that switches protocols. `port`: the fixed port of ledger, a TCP service.
   * `connect`: ledger again, by a CONNECT to the sidecar's proxy.
   */
  readonly kind: "websocket" | "port" | "connect";
  readonly delayTurns: number;
  /** Of a WebSocket: policy refuses it, or the app does. */
  readonly refusedBy: "policy" | "app" | null;
  /** Whether a CONNECT over HTTP/2 sends without waiting for its answer. */
  readonly isEager: boolean;
  /** From the caller, and to it. */
  readonly up: Half;
  readonly down: Half;
  readonly reset: Reset | null;
}

/** One direction of a tunnel. */
export interface Half {
  readonly bytes: number;
  /** Sizes of the pieces in which it is written, in turn. */
  readonly pieces: readonly number[];
  /** Its reader waits for so many turns after each piece. */
  readonly readerTurns: number;
  /** When it ends: with its last byte, or once the other one has ended as well. */
  readonly ends: "at-once" | "after-other";
}

/** Somebody gives up, and has not ended what it sends: the other must not take that for an end. */
export interface Reset {
  readonly by: "caller" | "app";
  /** When it has sent, or got, so many bytes. */
  readonly when: "sent" | "received";
  readonly afterBytes: number;
}

/** Of a WebSocket. */
export function tunnelPathOf(plan: TunnelPlan, index: number): string {
  return plan.refusedBy === "policy" ? `/denied/tunnel/${index}` : `/tunnel/${index}`;
}

/** What a WebSocket's app answers that does not want one. */
export const REFUSAL = 426;
