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
  const open = new Set<DiscoveryCall>();

  function accept(call: DeltaCall): void {
    try {
      const caller = assertCaller(call, options);
      assertRoom(open, caller);
      const stream = openDiscoveryCall(call, caller, { ...options, onEnded: () => open.delete(stream) });
      open.add(stream);
    } catch (thrown) {
      const error = toCardeaError(thrown);
      const fields = { code: error.code, error: error.message };
      options.logger.log(ERROR_TABLE[error.code].logLevel, "discovery-refused", fields);
      endCall(call, error);
    }
  }

  return {
    handlers: { DeltaAggregatedResources: accept },
    push() {
      for (const stream of open) stream.push();
    },
    close() {
      for (const stream of open) stream.stop(new CardeaError("draining", "the control plane is shutting down"));
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
function assertRoom(open: ReadonlySet<DiscoveryCall>, spiffeId: SpiffeId): void {
  if (open.size >= LIMITS.discoveryStreamsMax)
    throw new CardeaError("overloaded", `${LIMITS.discoveryStreamsMax} discovery streams are open`);
  let own = 0;
  for (const stream of open) if (stream.spiffeId === spiffeId) own += 1;
  if (own >= LIMITS.discoveryStreamsPerIdentityMax)
    throw new CardeaError("overloaded", `${spiffeId} has ${own} discovery streams open`);
}
