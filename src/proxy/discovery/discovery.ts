import { Client } from "@grpc/grpc-js";
import { loadMeshApi } from "../../api/load.ts";
import { toCardeaError } from "../../core/errors.ts";
import type { CreateClientTlsContext } from "../../core/grpc-tls.ts";
import { createLatest, type Latest } from "../../core/latest.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Address, Clock, Logger, Random, Timer } from "../../core/ports.ts";
import { type SpiffeId, type TrustDomain, trustDomainOf } from "../../core/spiffe-id.ts";
import type { Workload } from "../../policy/facts.ts";
import { CONTROL_CHANNEL_OPTIONS, controlChannelCredentials, controlTarget } from "../identity/control-channel.ts";
import type { Identity } from "../identity/identity.ts";
import type { TrafficSet } from "../../traffic/traffic-set.ts";
import { type DeltaClient, openDeltaClient } from "./delta-client.ts";
import { createPolicySinks, type PolicySet } from "./policy-sinks.ts";
import { createRegistrySink } from "./registry-sink.ts";
import type { RegistrySnapshot } from "./registry-snapshot.ts";

/** What this sidecar is told of the mesh, and how it stands with whoever tells. */
export interface Discovery {
  readonly registry: Latest<RegistrySnapshot>;
  /** Null: no policy set has been put in force yet, so nothing may be let through. */
  readonly policies: Latest<PolicySet | null>;
  /** Traffic rules of the same revision as the policies. */
  readonly traffic: Latest<TrafficSet>;
  readonly connection: Latest<DiscoveryConnection>;
  close(): void;
}

/** State of the stream to the control plane. Whatever it is, the last good registry and policies stay. */
export type DiscoveryConnection =
  | { readonly at: "waiting-for-identity" }
  | { readonly at: "connecting" }
  | { readonly at: "connected" }
  | { readonly at: "retrying"; readonly reason: string; readonly retryInMs: number };

export interface DiscoveryOptions {
  readonly control: { readonly address: Address; readonly spiffeId: SpiffeId };
  /** Who we are to the control plane; a new one makes a new stream. */
  readonly identity: Latest<Identity | null>;
  /** What this sidecar calls itself, for people. */
  readonly nodeId: string;
  /** For which policies are compiled. */
  readonly workload: Workload;
  readonly createTlsContext: CreateClientTlsContext;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Follows registry and policies until it is closed, over as many streams as that takes. */
export function openDiscovery(options: DiscoveryOptions): Discovery {
  const api = loadMeshApi();
  const { workload, clock, logger } = options;
  const trustDomain: TrustDomain = trustDomainOf(options.control.spiffeId);
  const registry = createRegistrySink({ api, trustDomain, logger });
  const policies = createPolicySinks({ workload, api, clock, logger });
  // The policies first: the control plane sends a set only when it has sent what the set is made of.
  const sinks = [policies.policies, policies.policySet, registry.addresses];
  const link = new ControlLink(options, (client, events) =>
    openDeltaClient({ client, api, sinks, clock, nodeId: options.nodeId, ...events }),
  );
  return {
    registry: registry.snapshot,
    policies: policies.inForce,
    traffic: policies.traffic,
    connection: link.state,
    close: () => link.close(),
  };
}

interface LinkEvents {
  onReached(): void;
  onEnded(reason: string): void;
}

const RETRY_MS_MIN = 100;

/** Keeps one stream open with the newest identity; after a failure it waits longer each time, with jitter. */
class ControlLink {
  readonly state = createLatest<DiscoveryConnection>({ at: "waiting-for-identity" });
  readonly #options: DiscoveryOptions;
  readonly #open: (client: Client, events: LinkEvents) => DeltaClient;
  readonly #unsubscribe: () => void;
  #current: { readonly client: Client; readonly stream: DeltaClient } | null = null;
  #retry: Timer | null = null;
  #failures = 0;

  constructor(options: DiscoveryOptions, open: (client: Client, events: LinkEvents) => DeltaClient) {
    this.#options = options;
    this.#open = open;
    this.#unsubscribe = options.identity.subscribe(() => this.#connect());
    this.#connect();
  }

  close(): void {
    this.#unsubscribe();
    this.#drop();
  }

  #drop(): void {
    this.#retry?.cancel();
    this.#retry = null;
    this.#current?.stream.close();
    this.#current?.client.close();
    this.#current = null;
  }

  #connect(): void {
    this.#drop();
    const identity = this.#options.identity.get();
    if (identity === null) {
      this.state.set({ at: "waiting-for-identity" });
      return;
    }
    this.state.set({ at: "connecting" });
    try {
      const client = this.#clientFor(identity);
      const stream = this.#open(client, {
        onReached: () => this.#onReached(),
        onEnded: (reason) => this.#onEnded(reason),
      });
      this.#current = { client, stream };
    } catch (thrown) {
      this.#onEnded(toCardeaError(thrown).message);
    }
  }

  #clientFor(identity: Identity): Client {
    const { control, createTlsContext, clock } = this.#options;
    const credentials = controlChannelCredentials({
      controlSpiffeId: control.spiffeId,
      bundles: identity.bundles,
      identity,
      createTlsContext,
      clock,
    });
    return new Client(controlTarget(control.address), credentials, CHANNEL_OPTIONS);
  }

  #onReached(): void {
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

const CHANNEL_OPTIONS = {
  ...CONTROL_CHANNEL_OPTIONS,
  // A stream may be silent for hours: a control plane that vanished without a word is noticed by this alone.
  "grpc.keepalive_time_ms": 20_000,
  "grpc.keepalive_timeout_ms": 10_000,
  // The library's own back-off between connections would come on top of ours.
  "grpc.use_local_subchannel_pool": 1,
};
