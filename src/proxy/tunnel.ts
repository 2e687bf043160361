import { CardeaError } from "../core/errors.ts";
import { keepLent } from "../core/lent-bytes.ts";
import { LIMITS } from "../core/limits.ts";
import type { Connection, ConnectionHandlers } from "../core/ports.ts";
import type { EndedBy } from "../observe/flow.ts";
import { type LiveConnection, type LiveConnections, type Moment, Stillness } from "./live.ts";
import type { Detached } from "./streams.ts";

/** Called once, when both connections are gone. A null error: both sides ended in good order. */
export type OnTunnelEnd = (error: CardeaError | null, endedBy: EndedBy) => void;

interface TunnelOptions {
  readonly live: LiveConnections;
  readonly onEnd: OnTunnelEnd;
  /** Every few seconds and at the end: bytes since the last call. */
  readonly onMoved?: (received: number, sent: number) => void;
}

/** Bytes both ways between two connections, each end handed on by itself: half-close stays half-close. */
export class Tunnel implements LiveConnection {
  readonly #downstream: TunnelEnd;
  readonly #upstream: TunnelEnd;
  readonly #live: LiveConnections;
  readonly #endsAtMs: number;
  readonly #onEnd: OnTunnelEnd;
  readonly #onMoved: ((received: number, sent: number) => void) | undefined;
  readonly #stillness = new Stillness();
  #reportedReceived = 0;
  #reportedSent = 0;
  #ticks = 0;
  #error: CardeaError | null = null;
  #endedBy: EndedBy | null = null;
  #isOver = false;

  constructor(downstream: Detached, upstream: Detached, options: TunnelOptions) {
    this.#downstream = new TunnelEnd(this, "downstream", downstream);
    this.#upstream = new TunnelEnd(this, "upstream", upstream);
    this.#downstream.other = this.#upstream;
    this.#upstream.other = this.#downstream;
    this.#live = options.live;
    this.#endsAtMs = Math.min(downstream.lifetime.endsAtMs, upstream.lifetime.endsAtMs);
    this.#onEnd = options.onEnd;
    this.#onMoved = options.onMoved;
  }

  begin(): void {
    this.#live.add(this);
    this.#downstream.begin();
    this.#upstream.begin();
  }

  /** From the caller. */
  get bytesReceived(): number {
    return this.#downstream.bytesRead;
  }

  /** To the caller. */
  get bytesSent(): number {
    return this.#upstream.bytesRead;
  }

  onTick(now: Moment): void {
    if (now.wallMs >= this.#endsAtMs) {
      this.endNow(new CardeaError("certificate-ended", "the certificates of the connection have ended"));
      return;
    }
    const moved = this.bytesReceived + this.bytesSent;
    if (this.#stillness.measureMs(moved, now.monotonicMs) >= LIMITS.tunnelIdleMs) {
      this.endNow(new CardeaError("idle-timeout", "nothing moved for too long"));
    } else if (++this.#ticks % TICKS_PER_REPORT === 0) this.#reportMoved();
  }

  drain(): void {
    // Nobody can tell both ends to finish; what has not ended when the time to drain is over is cut.
  }

  endNow(error: CardeaError): void {
    if (this.#isOver) return;
    this.#error ??= error;
    this.#endedBy ??= "sidecar";
    // A reset, so that neither side takes the part that it has for the whole.
    this.#downstream.connection.destroy({ reset: true });
    this.#upstream.connection.destroy({ reset: true });
    this.#finish();
  }

  /** One side has half-closed. */
  noteEnd(side: "downstream" | "upstream"): void {
    this.#endedBy ??= side;
  }

  noteClose(side: "downstream" | "upstream", error: CardeaError | undefined): void {
    if (this.#isOver) return;
    this.#endedBy ??= side;
    if (error !== undefined) this.#error ??= error;
    const isWhole = this.#downstream.hasEnded && this.#upstream.hasEnded;
    const other = side === "downstream" ? this.#upstream : this.#downstream;
    if (error !== undefined || !isWhole) other.connection.destroy({ reset: true });
    else if (!other.isClosed) return;
    if (error === undefined && !isWhole) this.#error ??= cutOff(side);
    this.#finish();
  }

  #finish(): void {
    this.#isOver = true;
    this.#reportMoved();
    this.#live.delete(this);
    this.#onEnd(this.#error, this.#endedBy ?? "sidecar");
  }

  #reportMoved(): void {
    const { bytesReceived, bytesSent } = this;
    this.#onMoved?.(bytesReceived - this.#reportedReceived, bytesSent - this.#reportedSent);
    this.#reportedReceived = bytesReceived;
    this.#reportedSent = bytesSent;
  }
}

/** Ticks between two reports of moved bytes: five seconds. */
const TICKS_PER_REPORT = 10;

class TunnelEnd implements ConnectionHandlers {
  readonly takesLent = true;
  readonly connection: Connection;
  other: TunnelEnd | null = null;
  bytesRead = 0;
  hasEnded = false;
  isClosed = false;
  readonly #tunnel: Tunnel;
  readonly #side: "downstream" | "upstream";
  #early: Buffer | null;
  readonly #isHalfClosed: boolean;

  constructor(tunnel: Tunnel, side: "downstream" | "upstream", { connection, early, hasEnded }: Detached) {
    this.connection = connection;
    this.#tunnel = tunnel;
    this.#side = side;
    this.#early = early;
    this.#isHalfClosed = hasEnded === true;
  }

  begin(): void {
    const early = this.#early;
    this.#early = null;
    this.connection.setHandlers(this);
    this.connection.resume();
    if (early !== null) this.onData(early);
    if (this.#isHalfClosed) this.onEnd();
  }

  onData(chunk: Buffer): void {
    this.bytesRead += chunk.length;
    if (!this.other!.connection.write(keepLent(chunk))) this.connection.pause();
  }

  onEnd(): void {
    this.hasEnded = true;
    this.#tunnel.noteEnd(this.#side);
    this.other!.connection.end();
  }

  onDrain(): void {
    this.other!.connection.resume();
  }

  onClose(error: CardeaError | undefined): void {
    this.isClosed = true;
    this.#tunnel.noteClose(this.#side, error);
  }
}

function cutOff(side: "downstream" | "upstream"): CardeaError {
  return new CardeaError(`${side}-reset`, `the ${side} connection closed before both sides had ended`);
}
