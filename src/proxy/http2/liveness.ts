import { LIMITS } from "../../core/limits.ts";

/** What a connection has to do at a tick. */
export type Due = "nothing" | "settings-timeout" | "head-timeout" | "ping" | "dead" | "drop";

export interface Signs {
  readonly bytesReceived: number;
  /** The peer's first SETTINGS have come. */
  readonly hasSettings: boolean;
  /** Something is under way that a dead peer would leave hanging, and it may be asked. */
  readonly mayProbe: boolean;
  /** The number of the frame or header block that has come in part; 0 when there is none. */
  readonly openPayload: number;
  /** All is said, and the peer has only to close. */
  readonly isLingering: boolean;
}

/** Whether the peer of a connection is still there, and keeps to the deadlines of the handshake and the farewell. */
export class Liveness {
  readonly #openedMs: number;
  #areSettingsAcknowledged = false;
  #bytesReceived = 0;
  #heardMs: number;
  #askedMs: number | null = null;
  #openPayload = 0;
  #openSinceMs = 0;
  #lingeringSinceMs: number | null = null;

  constructor(nowMs: number) {
    this.#openedMs = nowMs;
    this.#heardMs = nowMs;
  }

  settingsAcknowledged(): void {
    this.#areSettingsAcknowledged = true;
  }

  answered(): void {
    this.#askedMs = null;
  }

  check(nowMs: number, signs: Signs): Due {
    if (signs.isLingering) {
      this.#lingeringSinceMs ??= nowMs;
      return nowMs - this.#lingeringSinceMs >= LIMITS.lingerMs ? "drop" : "nothing";
    }
    const isShaken = this.#areSettingsAcknowledged && signs.hasSettings;
    if (!isShaken && nowMs - this.#openedMs >= LIMITS.http2SettingsTimeoutMs) return "settings-timeout";
    if (this.#isHeadLate(nowMs, signs.openPayload)) return "head-timeout";
    if (signs.bytesReceived !== this.#bytesReceived) {
      this.#bytesReceived = signs.bytesReceived;
      this.#heardMs = nowMs;
      this.#askedMs = null;
    }
    return isShaken && signs.mayProbe ? this.#probe(nowMs) : "nothing";
  }

  /** A head that comes octet by octet holds memory, and its connection's other streams up. */
  #isHeadLate(nowMs: number, openPayload: number): boolean {
    if (openPayload !== this.#openPayload) {
      this.#openPayload = openPayload;
      this.#openSinceMs = nowMs;
    }
    return openPayload > 0 && nowMs - this.#openSinceMs >= LIMITS.headTimeoutMs;
  }

  /** Silence alone proves nothing: somebody may be thinking. So ask. */
  #probe(nowMs: number): Due {
    if (this.#askedMs !== null) return nowMs - this.#askedMs >= LIMITS.http2PingTimeoutMs ? "dead" : "nothing";
    if (nowMs - this.#heardMs < LIMITS.http2PingTimeoutMs) return "nothing";
    this.#askedMs = nowMs;
    return "ping";
  }
}
