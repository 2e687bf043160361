import { CardeaError, toCardeaError } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import { HTTP1_OFFER } from "./detect.ts";
import type { ChannelOwner } from "./http1/client-connection.ts";
import { LongPaths } from "./long-paths.ts";
import type { Channel, HttpProtocol } from "./streams.ts";
import type { Target } from "./target.ts";
import type { PoolSettings, PoolUse } from "./traffic/pool-settings.ts";

/** Who wants to send a request. Exactly one of the two is called, perhaps at once, unless the waiter gives up. */
export interface ChannelWaiter {
  onChannel(channel: Channel): void;
  onNoChannel(error: CardeaError): void;
  /** Of a request: where it goes, and what it has moved when it is over. */
  readonly path?: string | null;
  readonly bytesReceived?: number;
  readonly bytesSent?: number;
}

/**
 * What a request asks of its channel. `fresh`: none of those that stand ready, since one has just failed. `upgrade`:
 * that it can be switched to another protocol.
 */
export type Want = "any" | "fresh" | "upgrade";

/**
 * Makes a channel to a target; the pool is its ChannelOwner. `offer`: the protocols to choose
 * from, null for all that the target may be spoken to in.
 */
export type OpenChannel = (target: Target, pool: TargetPool, offer: readonly string[] | null) => Promise<Channel>;

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

/**
 * The channels to one target. Over HTTP/2 all requests share one, and more are opened only when its streams are used
 * up or it is crowded. Over HTTP/1.1 each request has one to itself: free ones are lent out newest first, so that those
 * that are not needed fall idle. Which of the two it is, the first connection tells; until then all wait for it.
 */
export class TargetPool implements ChannelOwner, PoolUse {
  /** Requests that hold a channel or wait for one. */
  active = 0;
  readonly #target: Target;
  readonly #open: OpenChannel;
  readonly #onEmpty: () => void;
  readonly #settings: PoolSettings | null;
  /** What the last connection agreed on. */
  #speaks: HttpProtocol | "unknown";
  /** HTTP/2, oldest first, so that those that were only needed for a while fall idle. */
  readonly #shared: Channel[] = [];
  /** HTTP/1.1, and free. */
  readonly #single: Channel[] = [];
  readonly #waiting: ChannelWaiter[] = [];
  readonly #waitingToUpgrade: ChannelWaiter[] = [];
  #channelCount = 0;
  #openingCount = 0;
  /** Of connections for upgrades alone, to a target that takes none over HTTP/2. */
  #openingSingleCount = 0;
  readonly #longPaths = new LongPaths();
  /** After a failure nobody opens a connection that no request waits for, until one has been opened again. */
  #mayGrow = true;

  constructor(target: Target, open: OpenChannel, onEmpty: () => void) {
    this.#target = target;
    this.#open = open;
    this.#onEmpty = onEmpty;
    this.#speaks = target.speaks ?? "unknown";
    this.#settings = target.settings;
    this.#settings?.uses.add(this);
  }

  /** Connections that are there or being made. */
  get connectionCount(): number {
    return this.#channelCount + this.#openingCount + this.#openingSingleCount;
  }

  /** Requests that wait for one. */
  get waitingCount(): number {
    return this.#waiting.length + this.#waitingToUpgrade.length;
  }

  /** A connection to another target, with which this one shares a bound, has gone. */
  onRoom(): void {
    this.#openMore();
  }

  /** Every acquire is followed by one release. */
  acquire(waiter: ChannelWaiter, want: Want): void {
    this.active++;
    const channel = want === "fresh" ? undefined : (this.#pickFor(waiter, want) ?? this.#takeSingle(want));
    if (channel !== undefined) {
      waiter.onChannel(channel);
      if (channel.isCrowded) this.#grow();
    } else if (this.waitingCount >= LIMITS.pendingRequestsMax) {
      waiter.onNoChannel(new CardeaError("overloaded", "too many requests wait for a connection to the upstream"));
    } else if (this.#settings !== null && !this.#settings.mayWait) {
      const { maxPending } = this.#settings;
      waiter.onNoChannel(new CardeaError("upstream-overflow", `${maxPending} requests wait (http1MaxPendingRequests)`));
    } else {
      (want === "upgrade" ? this.#waitingToUpgrade : this.#waiting).push(waiter);
      this.#openMore();
    }
  }

  /** The request is over, or was given up while it waited. */
  release(waiter: ChannelWaiter): void {
    this.active--;
    const { path = null, bytesReceived = 0, bytesSent = 0 } = waiter;
    if (path !== null) this.#longPaths.note(path, bytesReceived + bytesSent);
    remove(this.#waiting, waiter);
    remove(this.#waitingToUpgrade, waiter);
    this.#leaveIfEmpty();
  }

  onFree(channel: Channel): void {
    if (channel.protocol === "h2") this.#share(channel);
    else this.#lend(channel);
  }

  onKnown(channel: Channel): void {
    this.#share(channel);
  }

  onGone(channel: Channel): void {
    this.#channelCount--;
    remove(this.#single, channel);
    remove(this.#shared, channel);
    this.#openMore();
    this.#leaveIfEmpty();
    this.#settings?.makeRoom();
  }

  /** Long bodies keep away from the first, where the small ones are: they would wait for what TCP loses of them. */
  #pickFor(waiter: ChannelWaiter, want: Want): Channel | undefined {
    if (want !== "any" || waiter.path == null || !this.#longPaths.has(waiter.path)) return this.#pickShared(want);
    const others = this.#shared.slice(1).filter((channel) => channel.isFree);
    if (others.length === 0) this.#grow();
    return leastCrowded(others) ?? this.#pickShared(want);
  }

  /** The first that is not crowded, or the one with the least to do. */
  #pickShared(want: Want): Channel | undefined {
    let least: Channel | undefined;
    for (const channel of this.#shared) {
      if (!channel.isFree || (want === "upgrade" && channel.upgrades !== "yes")) continue;
      if (!channel.isCrowded) return channel;
      if (least === undefined || channel.requestCount < least.requestCount) least = channel;
    }
    return least;
  }

  #takeSingle(want: Want): Channel | undefined {
    // Where HTTP/2 is spoken, one of these was opened for an upgrade.
    if (this.#speaks === "h2" && want !== "upgrade") return undefined;
    let channel = this.#single.pop();
    // One that was retired meanwhile closes by itself.
    while (channel !== undefined && !channel.isFree) channel = this.#single.pop();
    return channel;
  }

  #share(channel: Channel): void {
    while (channel.isFree && this.#waiting.length > 0) this.#waiting.shift()!.onChannel(channel);
    while (channel.isFree && channel.upgrades === "yes" && this.#waitingToUpgrade.length > 0) {
      this.#waitingToUpgrade.shift()!.onChannel(channel);
    }
    this.#openMore();
  }

  #lend(channel: Channel): void {
    const waiter = this.#waitingToUpgrade.shift() ?? (this.#speaks === "h2" ? undefined : this.#waiting.shift());
    if (waiter === undefined) this.#single.push(channel);
    else waiter.onChannel(channel);
  }

  /** Whoever comes first, attempt or freed channel, serves who waits longest. */
  #openMore(): void {
    while (this.#wantedCount() > this.#openingCount && this.#hasPlace()) this.#begin(null);
    while (this.#wantedSingleCount() > this.#openingSingleCount && this.#hasPlace()) this.#begin(HTTP1_OFFER);
  }

  /** Connections that those who wait are in need of: one each over HTTP/1.1, else one for all. */
  #wantedCount(): number {
    // How much those that are there can take is known at once; until then nobody needs another.
    if (this.#shared.some((channel) => channel.upgrades === "unknown")) return 0;
    const upgrades = this.#upgradesWaitFor() === "another" ? this.#waitingToUpgrade.length : 0;
    const waiting = this.#waiting.length + upgrades;
    return this.#speaks === "http/1.1" ? waiting : Math.min(waiting, 1);
  }

  #wantedSingleCount(): number {
    return this.#upgradesWaitFor() === "single" ? this.#waitingToUpgrade.length : 0;
  }

  #upgradesWaitFor(): "another" | "settings" | "single" {
    if (this.#speaks !== "h2" || this.#shared.length === 0) return "another";
    if (this.#shared.some((channel) => channel.upgrades === "unknown")) return "settings";
    return this.#shared.some((channel) => channel.upgrades === "yes") ? "another" : "single";
  }

  #hasPlace(): boolean {
    if (this.connectionCount >= LIMITS.upstreamConnectionsMax) return false;
    // The first is always made, as Envoy does it: else a full house elsewhere would shut this target out for good.
    return this.#settings === null || this.connectionCount === 0 || this.#settings.hasPlace;
  }

  /** All are crowded: the next requests shall find one that is not. */
  #grow(): void {
    if (!this.#mayGrow || this.#openingCount > 0 || this.#shared.length >= LIMITS.http2ConnectionsMax) return;
    if (this.#hasPlace()) this.#begin(null);
  }

  #begin(offer: readonly string[] | null): void {
    if (offer === null) this.#openingCount++;
    else this.#openingSingleCount++;
    this.#open(this.#target, this, offer).then(
      (channel) => this.#onOpened(channel, offer),
      (thrown: unknown) => this.#onOpenFailed(toCardeaError(thrown), offer),
    );
  }

  #onOpened(channel: Channel, offer: readonly string[] | null): void {
    this.#channelCount++;
    this.#mayGrow = true;
    if (offer === null) {
      this.#openingCount--;
      this.#speaks = channel.protocol;
    } else this.#openingSingleCount--;
    if (channel.protocol === "h2") this.#shared.push(channel);
    if (channel.isFree) this.onFree(channel);
    // Closed before anybody could use it: the waiters go on waiting for the attempt that `onGone` has begun. Or it
    // has turned out that each of them needs one.
    this.#openMore();
  }

  #onOpenFailed(error: CardeaError, offer: readonly string[] | null): void {
    this.#mayGrow = false;
    if (offer === null) this.#openingCount--;
    else this.#openingSingleCount--;
    for (const waiter of this.#failing(offer)) waiter.onNoChannel(error);
    this.#openMore();
    this.#leaveIfEmpty();
  }

  /** Those for whom the attempt was made: one, or all when nothing else is there that could serve them. */
  #failing(offer: readonly string[] | null): readonly ChannelWaiter[] {
    if (offer !== null) return this.#waitingToUpgrade.splice(0, 1);
    const isForAll = this.#speaks !== "http/1.1" && this.#shared.length === 0;
    if (isForAll) return [...this.#waiting.splice(0), ...this.#waitingToUpgrade.splice(0)];
    return this.#waiting.length > 0 ? this.#waiting.splice(0, 1) : this.#waitingToUpgrade.splice(0, 1);
  }

  #leaveIfEmpty(): void {
    if (this.active + this.connectionCount + this.waitingCount > 0) return;
    this.#settings?.uses.delete(this);
    this.#onEmpty();
  }
}

/** The newest of those with the least to do. */
function leastCrowded(channels: readonly Channel[]): Channel | undefined {
  let least: Channel | undefined;
  for (const channel of channels) {
    if (least === undefined || channel.requestCount < least.requestCount) least = channel;
  }
  return least;
}

function remove<T>(list: T[], item: T): void {
  const place = list.indexOf(item);
  if (place >= 0) list.splice(place, 1);
}
