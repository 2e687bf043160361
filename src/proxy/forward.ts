import { CardeaError, toCardeaError } from "../core/errors.ts";
import type { Headers } from "../wire/headers.ts";
import { isPermit, type Permit } from "./authorize.ts";
import type { Clock } from "../core/ports.ts";
import type { Connector, OpenedConnection } from "./connect.ts";
import { openHboneTunnel } from "./hbone-tunnel.ts";
import type { ChannelWaiter, Pools, TargetPool, Want } from "./pool.ts";
import type { Target } from "./target.ts";

interface ForwardOptions {
  readonly pools: Pools;
  readonly connector: Connector;
  readonly clock: Clock;
  /** How connecting for bytes that nobody reads went; null: well. */
  readonly onConnect: (target: Target, error: CardeaError | null) => void;
}

/** The only way to an upstream. It goes to a permit's target and nowhere else. */
export class Forward {
  readonly #pools: Pools;
  readonly #connector: Connector;
  readonly #clock: Clock;
  readonly #onConnect: ForwardOptions["onConnect"];

  constructor({ pools, connector, clock, onConnect }: ForwardOptions) {
    this.#onConnect = onConnect;
    this.#pools = pools;
    this.#connector = connector;
    this.#clock = clock;
  }

  /** Prepares to send one request; `begin` then asks for a channel. */
  request(permit: Permit, waiter: ChannelWaiter): Forwarding {
    assertPermit(permit);
    return new Forwarding(this.#pools.poolFor(permit.target), waiter, this.#clock.monotonicMs());
  }

  /**
   * A connection of its own, or a stream that is as good, for bytes that nobody reads. `headers` are the CONNECT's,
   * where there is one. Errors: as `Connector.open` and `openHboneTunnel`.
   */
  connect(permit: Permit, headers: Headers): Promise<OpenedConnection> {
    assertPermit(permit);
    return this.#connect(permit.target, headers);
  }

  async #connect(target: Target, headers: Headers): Promise<OpenedConnection> {
    try {
      const opened = await this.#open(target, headers);
      this.#onConnect(target, null);
      return opened;
    } catch (thrown) {
      const error = toCardeaError(thrown);
      this.#onConnect(target, error);
      throw error;
    }
  }

  #open(target: Target, headers: Headers): Promise<OpenedConnection> {
    if (target.tunnelTo === null) return this.#connector.open(target);
    return openHboneTunnel(this.#pools.poolFor(target), { authority: target.tunnelTo, headers }, this.#clock);
  }
}

/** A request that holds, or waits for, a channel. */
export class Forwarding {
  readonly #pool: TargetPool;
  readonly #waiter: ChannelWaiter;
  /** By the monotonic clock. */
  readonly startedMs: number;

  constructor(pool: TargetPool, waiter: ChannelWaiter, startedMs: number) {
    this.startedMs = startedMs;
    this.#pool = pool;
    this.#waiter = waiter;
  }

  /** The waiter may be served before this returns. */
  begin(want: Want): void {
    this.#pool.acquire(this.#waiter, want);
  }

  /** To be called once, when the request is over in whatever way. */
  release(): void {
    this.#pool.release(this.#waiter);
  }
}

function assertPermit(permit: Permit): void {
  if (!isPermit(permit)) throw new CardeaError("internal", "something other than a permit was to be forwarded");
}
