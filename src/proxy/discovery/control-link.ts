import { toCardeaError } from "../../core/errors.ts";
import { createLatest, type Latest } from "../../core/latest.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Clock, Logger, Network, Random, Timer } from "../../core/ports.ts";
import { type ControlEndpoint, openControlConnection } from "../calls/control-connection.ts";
import type { Identity } from "../identity/identity.ts";
import type { Channel } from "../streams.ts";
import type { DeltaClient } from "./delta-client.ts";

/** State of the stream to the control plane. Whatever it is, the last good registry and policies stay. */
export type DiscoveryConnection =
  | { readonly at: "waiting-for-identity" }
  | { readonly at: "connecting" }
  | { readonly at: "connected" }
  | { readonly at: "retrying"; readonly reason: string; readonly retryInMs: number };

export interface ControlLinkOptions {
  readonly control: ControlEndpoint;
  /** Who we are to the control plane; a new one makes a new stream. */
  readonly identity: Latest<Identity | null>;
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Opens the stream on a connection that stands. */
  openStream(channel: Channel, events: LinkEvents): DeltaClient;
}

export interface LinkEvents {
  onReached(): void;
  onEnded(reason: string): void;
}

const RETRY_MS_MIN = 100;

/** Keeps one stream open with the newest identity; after a failure it waits longer each time, with jitter. */
export class ControlLink {
  readonly state = createLatest<DiscoveryConnection>({ at: "waiting-for-identity" });
  readonly #options: ControlLinkOptions;
  readonly #unsubscribe: () => void;
  /** One try, from the dial to the end of its stream. */
  #attempt: AbortController | null = null;
  #impatience: Timer | null = null;
  #retry: Timer | null = null;
  #failures = 0;

  constructor(options: ControlLinkOptions) {
    this.#options = options;
    this.#unsubscribe = options.identity.subscribe(() => this.#connect());
    this.#connect();
  }

  close(): void {
    this.#unsubscribe();
    this.#drop();
  }

  #drop(): void {
    this.#retry?.cancel();
    this.#impatience?.cancel();
    this.#attempt?.abort();
    this.#attempt = null;
  }

  #connect(): void {
    this.#drop();
    const identity = this.#options.identity.get();
    if (identity === null) {
      this.state.set({ at: "waiting-for-identity" });
      return;
    }
    const attempt = new AbortController();
    this.#attempt = attempt;
    this.#impatience = this.#options.clock.setTimer(LIMITS.handshakeTimeoutMs, () =>
      this.#onEnded("the control plane does not answer"),
    );
    this.state.set({ at: "connecting" });
    this.#open(identity, attempt.signal).catch((thrown: unknown) => {
      if (!attempt.signal.aborted) this.#onEnded(toCardeaError(thrown).message);
    });
  }

  async #open(identity: Identity, signal: AbortSignal): Promise<void> {
    const { control, network, clock } = this.#options;
    const connection = await openControlConnection(
      { control, bundles: identity.bundles, identity, network, clock },
      signal,
    );
    let stream: DeltaClient | null = null;
    signal.addEventListener("abort", () => {
      stream?.close();
      connection.close();
    });
    stream = this.#options.openStream(connection.channel, {
      onReached: () => this.#onReached(),
      onEnded: (reason) => this.#onEnded(reason),
    });
  }

  #onReached(): void {
    this.#impatience?.cancel();
    if (this.#failures > 0) this.#options.logger.log("info", "discovery-reconnected", { failures: this.#failures });
    this.#failures = 0;
    this.state.set({ at: "connected" });
  }

  #onEnded(reason: string): void {
    this.#drop();
    const { clock, logger, random } = this.#options;
    const ceilingMs = Math.min(LIMITS.discoveryRetryMsMax, RETRY_MS_MIN * 2 ** this.#failures);
    // Between half of it and all: sidecars that lost the same control plane must not come back as one.
    const retryInMs = Math.round(ceilingMs * (0.5 + random.float() / 2));
    this.#failures += 1;
    logger.log("warn", "discovery-lost", { reason, retryInMs });
    this.state.set({ at: "retrying", reason, retryInMs });
    this.#retry = clock.setTimer(retryInMs, () => this.#connect());
  }
}
