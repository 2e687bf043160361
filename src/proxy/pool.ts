import { CardeaError, toCardeaError } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import type { Channel } from "./streams.ts";
import type { Target } from "./target.ts";

/** Who wants to send a request. Exactly one of the two is called, perhaps at once, unless the waiter gives up. */
export interface ChannelWaiter {
  onChannel(channel: Channel): void;
  onNoChannel(error: CardeaError): void;
}

/** Makes a channel to a target; `onFree` and `onGone` are called as ChannelOwner says. */
export type OpenChannel = (target: Target, pool: TargetPool) => Promise<Channel>;

/** All upstream connections of a sidecar, by target. */
export class Pools {
  readonly #open: OpenChannel;
  readonly #byKey = new Map<string, TargetPool>();

  constructor(open: OpenChannel) {
    this.#open = open;
  }

  poolFor(target: Target): TargetPool {
    let pool = this.#byKey.get(target.key);
    if (pool === undefined) {
      pool = new TargetPool(target, this.#open, () => this.#byKey.delete(target.key));
      this.#byKey.set(target.key, pool);
    }
    return pool;
  }

  /** Requests under way to a target; for balancing. */
  activeTo(target: Target): number {
    return this.#byKey.get(target.key)?.active ?? 0;
  }
}

/** The channels to one target: free ones are lent out newest first, so that those that are not needed fall idle. */
export class TargetPool {
  /** Requests that hold a channel or wait for one. */
  active = 0;
  readonly #target: Target;
  readonly #open: OpenChannel;
  readonly #onEmpty: () => void;
  readonly #free: Channel[] = [];
  readonly #waiting: ChannelWaiter[] = [];
  #channelCount = 0;
  #openingCount = 0;

  constructor(target: Target, open: OpenChannel, onEmpty: () => void) {
    this.#target = target;
    this.#open = open;
    this.#onEmpty = onEmpty;
  }

  /** With `isFresh` no connection that has served before is lent. Every acquire is followed by one release. */
  acquire(waiter: ChannelWaiter, isFresh: boolean): void {
    this.active++;
    const channel = isFresh ? undefined : this.#takeFree();
    if (channel !== undefined) waiter.onChannel(channel);
    else if (this.#waiting.length >= LIMITS.pendingRequestsMax) {
      waiter.onNoChannel(new CardeaError("overloaded", "too many requests wait for a connection to the upstream"));
    } else {
      this.#waiting.push(waiter);
      this.#openMore();
    }
  }

  /** The request is over, or was given up while it waited. */
  release(waiter: ChannelWaiter): void {
    this.active--;
    const place = this.#waiting.indexOf(waiter);
    if (place >= 0) this.#waiting.splice(place, 1);
    this.#leaveIfEmpty();
  }

  onFree(channel: Channel): void {
    const waiter = this.#waiting.shift();
    if (waiter === undefined) this.#free.push(channel);
    else waiter.onChannel(channel);
  }

  onGone(channel: Channel): void {
    this.#channelCount--;
    const place = this.#free.indexOf(channel);
    if (place >= 0) this.#free.splice(place, 1);
    if (this.#waiting.length > 0) this.#openMore();
    this.#leaveIfEmpty();
  }

  #takeFree(): Channel | undefined {
    let channel = this.#free.pop();
    // One that was retired meanwhile closes by itself.
    while (channel !== undefined && !channel.isFree) channel = this.#free.pop();
    return channel;
  }

  /** As many attempts as there are waiters: whoever comes first, attempt or freed channel, serves the first of them. */
  #openMore(): void {
    const room = LIMITS.upstreamConnectionsMax - this.#channelCount - this.#openingCount;
    if (room <= 0 || this.#waiting.length <= this.#openingCount) return;
    this.#openingCount++;
    this.#open(this.#target, this).then(this.#onOpened, this.#onOpenFailed);
  }

  readonly #onOpened = (channel: Channel): void => {
    this.#openingCount--;
    this.#channelCount++;
    if (channel.isFree) this.onFree(channel);
    // Closed before anybody could use it: the waiters go on waiting for the attempt that `onGone` has begun.
    else this.#openMore();
  };

  readonly #onOpenFailed = (thrown: unknown): void => {
    this.#openingCount--;
    this.#waiting.shift()?.onNoChannel(toCardeaError(thrown));
    if (this.#waiting.length > 0) this.#openMore();
    this.#leaveIfEmpty();
  };

  #leaveIfEmpty(): void {
    if (this.active + this.#channelCount + this.#openingCount + this.#waiting.length === 0) this.#onEmpty();
  }
}
