import type { ServerDuplexStream } from "@grpc/grpc-js";
import type { DeltaDiscoveryRequest__Output } from "../../api/generated/envoy/service/discovery/v3/DeltaDiscoveryRequest.ts";
import type { DeltaDiscoveryResponse } from "../../api/generated/envoy/service/discovery/v3/DeltaDiscoveryResponse.ts";
import { POLICY_SET_TYPE } from "../../api/resource-types.ts";
import { type CardeaError, ERROR_TABLE } from "../../core/errors.ts";
import type { Clock, Logger, LogLevel } from "../../core/ports.ts";
import type { SpiffeId } from "../../core/spiffe-id.ts";
import { createDeltaStream, type DeltaStreamOptions } from "./delta-stream.ts";
import type { ResourceView } from "./resource.ts";
import type { Sidecars, SidecarTrack } from "./sidecars.ts";
import type { Answer } from "./subscription.ts";

export type DeltaCall = ServerDuplexStream<DeltaDiscoveryRequest__Output, DeltaDiscoveryResponse>;

/** Is told what goes out to sidecars, and what becomes of it. */
export interface DiscoveryObserver {
  pushed(typeUrl: string): void;
  rejected(typeUrl: string): void;
  /** A sidecar has all that a change brought for it, this long after the change. */
  converged(afterMs: number): void;
}

export interface DiscoveryCallOptions {
  /** What the caller may see now. */
  viewFor(caller: SpiffeId): ResourceView;
  readonly sidecars: Sidecars;
  readonly observer?: DiscoveryObserver;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A sidecar's stream while it is open. */
export interface DiscoveryCall {
  readonly spiffeId: SpiffeId;
  /** What it may see has perhaps changed, at this time of the monotonic clock. */
  push(changedAtMs: number): void;
  stop(error: CardeaError): void;
}

export interface CallEvents {
  onNames: NonNullable<DeltaStreamOptions["onNames"]>;
  onEnded(): void;
}

/** Serves a call that was admitted, until either side ends it. Its connection ends with the caller's certificate. */
export function openDiscoveryCall(
  call: DeltaCall,
  spiffeId: SpiffeId,
  options: DiscoveryCallOptions & CallEvents,
): DiscoveryCall {
  const { sidecars, observer, clock, logger } = options;
  let track: SidecarTrack | null = null;
  let isEnded = false;

  const delta = createDeltaStream({
    view: () => options.viewFor(spiffeId),
    send(response) {
      observer?.pushed(response.typeUrl ?? "");
      call.write(response);
    },
    fail: stop,
    onSubscribe(typeUrl, heldCount) {
      if (typeUrl === POLICY_SET_TYPE && heldCount === 0) track?.started();
    },
    onAnswer: (typeUrl, answer) => noteAnswer(typeUrl, answer),
    onNames: (...names) => options.onNames(...names),
    onConverged: (afterMs) => observer?.converged(afterMs),
    onUnknownType: (typeUrl) => log("warn", "discovery-type-unknown", { typeUrl: typeUrl.slice(0, 256) }),
    clock,
  });

  function receive(request: DeltaDiscoveryRequest__Output): void {
    if (isEnded) return;
    track ??= begin(request.node?.id ?? "");
    delta.receive(request);
  }

  function begin(name: string): SidecarTrack {
    log("info", "sidecar-connected", { workload: name.slice(0, 128) });
    return sidecars.track(spiffeId, name);
  }

  function noteAnswer(typeUrl: string, { version, error }: Answer): void {
    if (error !== null) {
      track?.refused(typeUrl, error);
      observer?.rejected(typeUrl);
      log("warn", "sidecar-refused", { typeUrl, revision: version, error: error.slice(0, 2_048) });
      return;
    }
    track?.accepted(typeUrl);
    if (typeUrl !== POLICY_SET_TYPE) return;
    track?.acknowledged(version);
    log("debug", "sidecar-acknowledged", { revision: version });
  }

  function stop(error: CardeaError): void {
    if (isEnded) return;
    log(ERROR_TABLE[error.code].logLevel, "sidecar-stopped", { code: error.code, error: error.message });
    ended();
    endCall(call, error);
  }

  function ended(): void {
    if (isEnded) return;
    isEnded = true;
    delta.close();
    track?.ended();
    log("info", "sidecar-disconnected", {});
    options.onEnded();
  }

  function log(level: LogLevel, event: string, fields: Readonly<Record<string, string>>): void {
    logger.log(level, event, { spiffeId, ...fields });
  }

  call.on("data", receive);
  call.on("end", () => {
    ended();
    call.end();
  });
  call.on("cancelled", ended);
  call.on("close", ended);
  return { spiffeId, push: (changedAtMs) => delta.push(changedAtMs), stop };
}

/** Ends a call with the gRPC status of the error's code. */
export function endCall(call: DeltaCall, error: CardeaError): void {
  call.emit("error", { code: ERROR_TABLE[error.code].grpcStatus, details: error.message });
}
