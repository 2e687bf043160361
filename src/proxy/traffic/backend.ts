import { CardeaError } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";
import type { TrafficPolicy } from "../../traffic/service-traffic.ts";
import type { Carriage, Endpoint } from "../discovery/registry-snapshot.ts";
import type { Route } from "../route.ts";
import type { Target } from "../target.ts";
import type { Tries } from "../tries.ts";
import { type Balancer, type BalancerParts, createBalancer, pickLessBusy } from "./balancer.ts";
import { Breaker } from "./breaker.ts";
import type { Caller } from "./hash-key.ts";
import { createMember, type Member } from "./member.ts";
import { type EjectionReason, OutlierDetector, type TryOutcome } from "./outlier.ts";
import { PlainTries } from "./plain-tries.ts";
import { type PoolSettings, poolSettingsOf } from "./pool-settings.ts";
import type { TriesParts } from "./request-tries.ts";

/** What becomes of the members of all backends, for the log and the metrics. */
export interface BackendEvents {
  onEjected(service: string, member: Member, why: { readonly reason: EjectionReason; readonly forMs: number }): void;
  onReturned(service: string, member: Member): void;
  /** One that was ejected is registered no more. */
  onLeft(service: string): void;
  onRetry(service: string): void;
  /** A retry or a request that a bound has refused. */
  onOverflow(service: string, limit: OverflowLimit): void;
}

export type OverflowLimit = "requests" | "pending" | "retries" | "retry-budget";

export interface BackendParts {
  readonly clock: Clock;
  readonly balancing: BalancerParts;
  readonly tries: TriesParts;
  readonly events: BackendEvents;
}

export interface BackendOptions {
  /** Which backend it is: service, port and subset. */
  readonly id: string;
  /** What is sent there: requests, or connections whose bytes nobody reads. */
  readonly carriage: Carriage;
  readonly policy: TrafficPolicy;
  readonly parts: BackendParts;
}

/** The workloads that serve one port of a service (or a subset of them), and how they are doing. */
export class Backend {
  readonly breaker: Breaker;
  readonly events: BackendEvents;
  /** For requests that no rule speaks of. */
  readonly tries: Tries;
  /** Whether it makes a difference to `pick` who asks. */
  readonly looksAtCaller: boolean;
  /** Whether it wants to know how each try went, and each request's beginning and end. */
  readonly isWatching: boolean;
  /** Neither of the two. */
  readonly isPlain: boolean;
  readonly #id: string;
  readonly #carriage: Carriage;
  readonly #parts: BackendParts;
  readonly #policy: TrafficPolicy;
  readonly #settings: PoolSettings | null;
  readonly #balance: Balancer;
  readonly #outliers: OutlierDetector | null;
  #service = "";
  #members: readonly Member[] = [];
  #byKey = new Map<string, Member>();
  /** Those that get requests. */
  #serving: readonly Member[] = [];
  #isKnown = false;

  constructor({ id, carriage, policy, parts }: BackendOptions) {
    this.#id = id;
    this.#carriage = carriage;
    this.#parts = parts;
    this.#policy = policy;
    this.#settings = poolSettingsOf(id, policy.connectionPool);
    this.events = parts.events;
    this.tries = new PlainTries(this, parts.tries);
    this.breaker = new Breaker(policy.connectionPool);
    this.#balance = createBalancer(policy.loadBalancer, parts.balancing);
    this.#outliers = policy.outlierDetection === null ? null : this.#detect(policy.outlierDetection);
    this.looksAtCaller = policy.loadBalancer.kind === "consistent-hash";
    this.isWatching = this.#outliers !== null || policy.connectionPool.maxRequests !== Number.POSITIVE_INFINITY;
    this.isPlain = !this.looksAtCaller && !this.isWatching;
  }

  get service(): string {
    return this.#service;
  }

  get members(): readonly Member[] {
    return this.#members;
  }

  /** Requests under way to all members. */
  get active(): number {
    return this.#members.reduce((sum, member) => sum + this.#parts.balancing.activeAt(member), 0);
  }

  /** What the registry says now. Members that stay keep their health and their age. */
  update(route: Route, endpoints: readonly Endpoint[]): void {
    this.#service = route.service.fqdn;
    const sinceMs = this.#isKnown ? this.#parts.clock.monotonicMs() : Number.NEGATIVE_INFINITY;
    const before = this.#byKey;
    const ejected = this.#members.filter(({ health }) => health.ejectedAtMs !== null);
    this.#members = endpoints.map((endpoint) => {
      const member = createMember(route, endpoint, {
        sinceMs,
        settings: this.#settings,
        carriage: this.#carriage,
        tls: this.#policy.tls,
      });
      const known = before.get(member.target.key);
      return known === undefined ? member : { ...member, sinceMs: known.sinceMs, health: known.health };
    });
    this.#byKey = new Map(this.#members.map((member) => [member.target.key, member]));
    for (const { target } of ejected) if (!this.#byKey.has(target.key)) this.events.onLeft(this.#service);
    this.#isKnown = true;
    this.#sort();
  }

  /** Errors: `no-healthy-upstream`. */
  pick(caller: Caller | null): Member {
    const serving = this.#serving;
    if (serving.length === 0) throw this.#nobody();
    return this.#balance(serving, caller);
  }

  /** For a retry: one that has not been tried, else the less busy of all. Errors: `no-healthy-upstream`. */
  pickAnother(tried: ReadonlySet<string>): Member {
    if (this.#serving.length === 0) throw this.#nobody();
    return this.pickUntried(tried) ?? pickLessBusy(this.#serving, 0, this.#parts.balancing);
  }

  /** One that has not been tried, the less busy of two; null when there is none. */
  pickUntried(tried: ReadonlySet<string>): Member | null {
    const others = this.#serving.filter(({ target }) => !tried.has(target.key));
    return others.length === 0 ? null : pickLessBusy(others, 0, this.#parts.balancing);
  }

  report(target: Target, outcome: TryOutcome): void {
    const member = this.#outliers === null ? undefined : this.#byKey.get(target.key);
    if (member !== undefined) this.#outliers!.report(member, outcome);
  }

  #nobody(): CardeaError {
    const service = this.#id;
    const { length } = this.#members;
    const why = length === 0 ? "has no workload" : `has ${length} workloads, and all are ejected`;
    return new CardeaError("no-healthy-upstream", `${service} ${why}`);
  }

  #detect(rules: NonNullable<TrafficPolicy["outlierDetection"]>): OutlierDetector {
    const { clock, events } = this.#parts;
    return new OutlierDetector({
      rules,
      clock,
      members: () => this.#members,
      events: {
        onEjected: (member, reason, forMs) => {
          this.#sort();
          events.onEjected(this.#service, member, { reason, forMs });
        },
        onReturned: (member) => {
          this.#sort();
          events.onReturned(this.#service, member);
        },
      },
    });
  }

  #sort(): void {
    const healthy = this.#members.filter(({ health }) => health.ejectedAtMs === null);
    const percent = (100 * healthy.length) / this.#members.length;
    // Too few are left to carry the load: better all, the sick included, than a crowd on the rest (Envoy's panic).
    const isPanic = percent < (this.#policy.outlierDetection?.minHealthPercent ?? 0);
    this.#serving = isPanic || healthy.length === this.#members.length ? this.#members : healthy;
  }
}
