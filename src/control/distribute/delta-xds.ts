import type { Metadata } from "@grpc/grpc-js";
import type { AggregatedDiscoveryServiceHandlers } from "../../api/generated/envoy/service/discovery/v3/AggregatedDiscoveryService.ts";
import { ADDRESS_TYPE } from "../../api/resource-types.ts";
import { CardeaError, ERROR_TABLE, toCardeaError } from "../../core/errors.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Timer } from "../../core/ports.ts";
import { type SpiffeId, type TrustDomain, trustDomainOf, workloadNameOf } from "../../core/spiffe-id.ts";
import type { Changes } from "./about.ts";
import {
  type DeltaCall,
  type DiscoveryCall,
  type DiscoveryCallOptions,
  endCall,
  openDiscoveryCall,
} from "./discovery-call.ts";
import { Interests } from "./interests.ts";
import { createPushQueue } from "./push-queue.ts";

export interface DiscoveryOptions extends DiscoveryCallOptions {
  /** The verified identity behind a call, or null when it has shown no certificate. */
  callerOf(call: { readonly metadata: Metadata }): SpiffeId | null;
  readonly trustDomain: TrustDomain;
}

/** The discovery service: streams that follow what their callers may see. */
export interface Discovery {
  readonly handlers: AggregatedDiscoveryServiceHandlers;
  /** What all callers may see has perhaps changed. */
  push(): void;
  /**
   * The registry has changed. Told at once are those that have asked for a service that it concerns by name, the
   * identities of its workloads, and everybody of a new or other service and of a service's first workload; of other
   * workloads the rest hears within `discoveryLaterMs`, of many changes at a time. Null: nobody knows what has changed.
   */
  pushRegistry(changes: Changes | null): void;
  /** Ends every stream: the sidecars go on with what they have. */
  close(): void;
}

/** `envoy.service.discovery.v3.AggregatedDiscoveryService`, its delta half, for callers with a certificate alone. */
export function createDiscovery(options: DiscoveryOptions): Discovery {
  const { clock } = options;
  const open = new Map<SpiffeId, Set<DiscoveryCall>>();
  const interests = new Interests<DiscoveryCall>();
  let laterTimer: Timer | null = null;
  let openCount = 0;
  /** When there was the change that a stream waits for: the newest of those at once, the oldest of the later ones. */
  const changedAtMs = { first: 0, later: 0 };
  let laterSinceMs: number | null = null;
  const queue = createPushQueue<DiscoveryCall>((stream, lane) => stream.push(changedAtMs[lane]));

  function accept(call: DeltaCall): void {
    try {
      const caller = assertCaller(call, options);
      const own = open.get(caller) ?? new Set();
      assertRoom(openCount, own.size);
      const stream = openDiscoveryCall(call, caller, {
        ...options,
        onEnded: () => forget(stream),
        onNames(typeUrl, added, removed) {
          if (typeUrl !== ADDRESS_TYPE) return;
          interests.add(stream, added);
          interests.remove(stream, removed);
        },
      });
      open.set(caller, own.add(stream));
      openCount += 1;
    } catch (thrown) {
      const error = toCardeaError(thrown);
      const fields = { code: error.code, error: error.message };
      options.logger.log(ERROR_TABLE[error.code].logLevel, "discovery-refused", fields);
      endCall(call, error);
    }
  }

  function forget(stream: DiscoveryCall): void {
    const own = open.get(stream.spiffeId);
    if (own?.delete(stream) !== true) return;
    openCount -= 1;
    queue.remove(stream);
    interests.forget(stream);
    if (own.size === 0) open.delete(stream.spiffeId);
  }

  function all(): readonly DiscoveryCall[] {
    return [...open.values()].flatMap((own) => [...own]);
  }

  function* concernedBy({ names, identities }: Changes): Generator<DiscoveryCall> {
    for (const abouts of names.values())
      for (const { services, spiffeId } of abouts) {
        for (const service of services) yield* interests.in(service);
        if (spiffeId !== null) yield* open.get(spiffeId) ?? [];
      }
    for (const identity of identities) yield* open.get(identity) ?? [];
  }

  function pushAll(): void {
    laterTimer?.cancel();
    laterTimer = null;
    changedAtMs.later = laterSinceMs ?? clock.monotonicMs();
    laterSinceMs = null;
    queue.later(all());
  }

  return {
    handlers: { DeltaAggregatedResources: accept },
    push: pushAll,
    pushRegistry(changes) {
      changedAtMs.first = clock.monotonicMs();
      laterSinceMs ??= changedAtMs.first;
      if (changes !== null) queue.first(concernedBy(changes));
      if (changes === null || isForAll(changes)) pushAll();
      else laterTimer ??= clock.setTimer(LIMITS.discoveryLaterMs, pushAll);
    },
    close() {
      laterTimer?.cancel();
      for (const stream of all()) stream.stop(new CardeaError("draining", "the control plane is shutting down"));
    },
  };
}

/**
 * A service that nobody knows yet has nobody who could have asked for it, and the first request to one without a workload
 * fails, so that its caller is not to be the one who asks.
 */
function isForAll({ names, opened }: Changes): boolean {
  if (opened.size > 0) return true;
  for (const abouts of names.values()) if (abouts.some(({ isService }) => isService)) return true;
  return false;
}

/** Errors: `peer-certificate-missing`, `peer-identity-invalid`. */
function assertCaller(call: DeltaCall, options: DiscoveryOptions): SpiffeId {
  const caller = options.callerOf(call);
  if (caller === null) throw new CardeaError("peer-certificate-missing", "discovery needs a client certificate");
  if (trustDomainOf(caller) !== options.trustDomain || workloadNameOf(caller) === null)
    throw new CardeaError("peer-identity-invalid", `${caller} is no workload of ${options.trustDomain}`);
  return caller;
}

/** Errors: `overloaded`. */
function assertRoom(openCount: number, ownCount: number): void {
  if (openCount >= LIMITS.discoveryStreamsMax)
    throw new CardeaError("overloaded", `${openCount} discovery streams are open`);
  if (ownCount >= LIMITS.discoveryStreamsPerIdentityMax)
    throw new CardeaError("overloaded", `the caller's identity has ${ownCount} discovery streams open`);
}
