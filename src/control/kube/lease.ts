import { toCardeaError } from "../../core/errors.ts";
import { KUBE } from "../../core/kube-resources.ts";
import type { KubeApi, KubeObject } from "../../core/kube.ts";
import { createLatest, type Latest } from "../../core/latest.ts";
import type { Clock, Logger, Random, Timer } from "../../core/ports.ts";
import { record } from "./endpoint-facts.ts";

export interface LeaseOptions {
  readonly kube: KubeApi;
  readonly namespace: string;
  readonly name: string;
  /** Of this replica, and of no other that ever was: a pod's name, and chance. */
  readonly identity: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Who does what one replica alone must do. */
export interface Leadership {
  readonly isLeader: Latest<boolean>;
  /**
   * Whether the lease is ours at this very moment. A process that was stopped past its end (SIGSTOP, a frozen node) wakes
   * up believing it leads; whoever writes asks this first.
   */
  holds(): boolean;
  /** Gives the lease up, so that another replica need not wait for its end. */
  close(): Promise<void>;
}

/** Kubernetes' own figures (client-go, leaderelection). */
const LEASE_MS = 15_000;
const RENEW_WITHIN_MS = 10_000;
const RETRY_MS = 2_000;

/** Leader election by a Lease of coordination.k8s.io. Clocks of replicas are never compared: what counts is for how long
 * we ourselves have seen no change. */
export function openLeadership(options: LeaseOptions): Leadership {
  const election = new Election(options);
  election.begin();
  return election;
}

class Election implements Leadership {
  readonly isLeader = createLatest(false);
  readonly #options: LeaseOptions;
  #timer: Timer | null = null;
  #isClosed = false;
  /** What we saw last, and since when. */
  #seen = "";
  #seenAtMs = 0;
  #renewedAtMs = 0;
  #running: Promise<void> = Promise.resolve();

  constructor(options: LeaseOptions) {
    this.#options = options;
  }

  holds(): boolean {
    return this.isLeader.get() && this.#options.clock.monotonicMs() - this.#renewedAtMs < RENEW_WITHIN_MS;
  }

  begin(): void {
    this.#running = this.#round();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    await this.#running;
    if (!this.isLeader.get()) return;
    this.#set(false);
    await this.#release().catch((thrown: unknown) => {
      this.#options.logger.log("warn", "lease-not-released", { error: toCardeaError(thrown).message });
    });
  }

  async #round(): Promise<void> {
    const { clock, random, logger } = this.#options;
    // A call may take long: the lease counts from before it.
    const beganAtMs = clock.monotonicMs();
    const watchdog = this.#expireAt(this.#renewedAtMs + RENEW_WITHIN_MS);
    try {
      const isOurs = await this.#acquireOrRenew();
      if (isOurs) this.#renewedAtMs = beganAtMs;
      // An answer may come so late that others have taken the lease since.
      const isInTime = clock.monotonicMs() - beganAtMs < RENEW_WITHIN_MS;
      if (!this.#isClosed || !isOurs) this.#set(isOurs && isInTime);
    } catch (thrown) {
      logger.log("warn", "lease-not-renewed", { error: toCardeaError(thrown).message });
      if (clock.monotonicMs() - this.#renewedAtMs >= RENEW_WITHIN_MS) this.#set(false);
    } finally {
      watchdog?.cancel();
    }
    if (this.#isClosed) return;
    this.#timer = clock.setTimer(RETRY_MS * (1 + random.float() / 5), () => this.begin());
  }

  /** Others may take the lease at its end whether or not our call to renew it has come back by then. */
  #expireAt(atMs: number): Timer | null {
    const { clock } = this.#options;
    if (!this.isLeader.get()) return null;
    return clock.setTimer(Math.max(0, atMs - clock.monotonicMs()), () => this.#set(false));
  }

  async #acquireOrRenew(): Promise<boolean> {
    const { kube, namespace, name, identity, clock } = this.#options;
    const lease = await kube.get(KUBE.leases, { namespace, name });
    if (lease === null) return this.#write(null, 0);
    const spec = record(lease["spec"]);
    const seen = JSON.stringify([spec["holderIdentity"], spec["renewTime"], lease.metadata.resourceVersion]);
    if (seen !== this.#seen) {
      this.#seen = seen;
      this.#seenAtMs = clock.monotonicMs();
    }
    const holder = spec["holderIdentity"];
    const isFree = holder === undefined || holder === null || holder === "";
    const isOver = clock.monotonicMs() - this.#seenAtMs >= LEASE_MS;
    if (holder !== identity && !isFree && !isOver) return false;
    const transitions = typeof spec["leaseTransitions"] === "number" ? spec["leaseTransitions"] : 0;
    return this.#write(lease, holder === identity ? transitions : transitions + 1);
  }

  async #write(before: KubeObject | null, leaseTransitions: number): Promise<boolean> {
    const { kube, namespace, name, identity, clock } = this.#options;
    const now = microTime(clock.wallMs());
    const acquired = record(before?.["spec"]);
    const acquireTime = acquired["holderIdentity"] === identity ? acquired["acquireTime"] : now;
    const spec = {
      holderIdentity: identity,
      leaseDurationSeconds: LEASE_MS / 1_000,
      acquireTime,
      renewTime: now,
      leaseTransitions,
    };
    try {
      if (before === null) await kube.create(KUBE.leases, { metadata: { namespace, name }, spec });
      else await kube.update(KUBE.leases, { ...before, spec });
      return true;
    } catch (thrown) {
      // Another replica was first.
      if (toCardeaError(thrown).code === "kube-conflict") return false;
      throw thrown;
    }
  }

  async #release(): Promise<void> {
    const { kube, namespace, name, identity } = this.#options;
    const lease = await kube.get(KUBE.leases, { namespace, name });
    const spec = record(lease?.["spec"]);
    if (lease === null || spec["holderIdentity"] !== identity) return;
    await kube.update(KUBE.leases, { ...lease, spec: { ...spec, holderIdentity: "", leaseDurationSeconds: 1 } });
  }

  #set(isLeader: boolean): void {
    if (this.isLeader.get() === isLeader) return;
    this.#options.logger.log("info", isLeader ? "leader-began" : "leader-ended", {});
    this.isLeader.set(isLeader);
  }
}

/** metav1.MicroTime. */
function microTime(wallMs: number): string {
  return new Date(wallMs).toISOString().replace("Z", "000Z");
}
