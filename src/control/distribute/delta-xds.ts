import type { Metadata } from "@grpc/grpc-js";
import type { AggregatedDiscoveryServiceHandlers } from "../../api/generated/envoy/service/discovery/v3/AggregatedDiscoveryService.ts";
import { CardeaError, ERROR_TABLE, toCardeaError } from "../../core/errors.ts";
import { LIMITS } from "../../core/limits.ts";
import { type SpiffeId, type TrustDomain, trustDomainOf, workloadNameOf } from "../../core/spiffe-id.ts";
import {
  type DeltaCall,
  type DiscoveryCall,
  type DiscoveryCallOptions,
  endCall,
  openDiscoveryCall,
} from "./discovery-call.ts";

export interface DiscoveryOptions extends DiscoveryCallOptions {
  /** The verified identity behind a call, or null when it has shown no certificate. */
  callerOf(call: { readonly metadata: Metadata }): SpiffeId | null;
  readonly trustDomain: TrustDomain;
}

/** The discovery service: streams that follow what their callers may see. */
export interface Discovery {
  readonly handlers: AggregatedDiscoveryServiceHandlers;
  /** What callers may see has perhaps changed. */
  push(): void;
  /** Ends every stream: the sidecars go on with what they have. */
  close(): void;
}

/** `envoy.service.discovery.v3.AggregatedDiscoveryService`, its delta half, for callers with a certificate alone. */
export function createDiscovery(options: DiscoveryOptions): Discovery {
  const open = new Map<SpiffeId, Set<DiscoveryCall>>();
  let openCount = 0;

  function accept(call: DeltaCall): void {
    try {
      const caller = assertCaller(call, options);
      const own = open.get(caller) ?? new Set();
      assertRoom(openCount, own.size);
      const stream = openDiscoveryCall(call, caller, { ...options, onEnded: () => forget(stream) });
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
    if (own.size === 0) open.delete(stream.spiffeId);
  }

  function all(): readonly DiscoveryCall[] {
    return [...open.values()].flatMap((own) => [...own]);
  }

  return {
    handlers: { DeltaAggregatedResources: accept },
    push() {
      for (const stream of all()) stream.push();
    },
    close() {
      for (const stream of all()) stream.stop(new CardeaError("draining", "the control plane is shutting down"));
    },
  };
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
