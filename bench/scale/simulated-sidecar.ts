import { DELTA_DISCOVERY_REQUEST, DELTA_DISCOVERY_RESPONSE } from "../../src/api/messages.ts";
import { DELTA_AGGREGATED_RESOURCES } from "../../src/api/methods.ts";
import { ADDRESS_TYPE, POLICY_SET_TYPE, POLICY_TYPE } from "../../src/api/resource-types.ts";
import type { Address, Network } from "../../src/core/ports.ts";
import type { SpiffeId } from "../../src/core/spiffe-id.ts";
import { systemClock } from "../../src/io/clock.ts";
import { CONTROL_NAME, openControlConnection } from "../../src/proxy/calls/control-connection.ts";
import { beginGrpcCall, type GrpcCall } from "../../src/proxy/calls/grpc-call.ts";
import type { Identity } from "../../src/proxy/identity/identity.ts";
import type { WorldSidecar } from "./world.ts";

/** Where the control plane is now. */
export interface ControlPlace {
  readonly address: Address;
  readonly spiffeId: SpiffeId;
}

/** Is told of what comes in. */
export interface SidecarEvents {
  onMessage(sidecar: SimulatedSidecar, bytes: number, names: readonly string[]): void;
  onEnded(sidecar: SimulatedSidecar, reason: string): void;
}

const TYPES = [POLICY_TYPE, POLICY_SET_TYPE, ADDRESS_TYPE];

/**
 * A sidecar's end of the discovery stream by the sidecar's own client, over TLS with its own certificate. It keeps the
 * versions of what it holds and answers each response at once; it builds no tables and compiles nothing.
 */
export class SimulatedSidecar {
  readonly about: WorldSidecar;
  readonly identity: Identity;
  /** Name → version, by type. */
  readonly held = new Map(TYPES.map((typeUrl) => [typeUrl, new Map<string, string>()]));
  /** Types of which the open stream has brought something: all of them, it is in sync. */
  readonly heard = new Set<string>();
  readonly #events: SidecarEvents;
  #attempt: AbortController | null = null;
  #call: GrpcCall | null = null;

  constructor(about: WorldSidecar, identity: Identity, events: SidecarEvents) {
    this.about = about;
    this.identity = identity;
    this.#events = events;
  }

  get isInSync(): boolean {
    return this.heard.size === TYPES.length;
  }

  async connect(control: ControlPlace, network: Network): Promise<void> {
    const attempt = new AbortController();
    this.#attempt = attempt;
    this.heard.clear();
    const { identity } = this;
    const options = { control, bundles: identity.bundles, identity, network, clock: systemClock };
    const connection = await openControlConnection(options, attempt.signal);
    attempt.signal.addEventListener("abort", () => connection.close());
    this.#call = beginGrpcCall(
      connection.channel,
      {
        path: DELTA_AGGREGATED_RESOURCES,
        authority: CONTROL_NAME,
        metadata: [],
        timeoutMs: null,
        clock: systemClock,
      },
      {
        onMessage: (message) => this.#take(message),
        onEnd: ({ message }) => {
          connection.close();
          this.#events.onEnded(this, message);
        },
      },
    );
    for (const typeUrl of TYPES) this.#call.send(this.#firstRequest(typeUrl));
  }

  close(): void {
    this.#call?.cancel();
    this.#attempt?.abort();
  }

  #firstRequest(typeUrl: string): Buffer {
    return DELTA_DISCOVERY_REQUEST.serialize({
      node: { id: this.about.name },
      typeUrl,
      resourceNamesSubscribe: typeUrl === ADDRESS_TYPE ? ["*", ...this.about.uses] : ["*"],
      initialResourceVersions: this.held.get(typeUrl)!,
    });
  }

  #take(message: Buffer): void {
    const response = DELTA_DISCOVERY_RESPONSE.deserialize(message);
    const held = this.held.get(response.typeUrl);
    if (held === undefined) throw new Error(`a response of ${response.typeUrl}`);
    this.heard.add(response.typeUrl);
    for (const { name, version } of response.resources) held.set(shared(name), shared(version));
    for (const name of response.removedResources) held.delete(name);
    const names = [...response.resources.map(({ name }) => name), ...response.removedResources];
    this.#events.onMessage(this, message.length, names);
    const { typeUrl, nonce } = response;
    this.#call?.send(DELTA_DISCOVERY_REQUEST.serialize({ typeUrl, responseNonce: nonce }));
  }
}

const texts = new Map<string, string>();

/** A thousand sidecars in one process must not keep a thousand copies of each name. */
function shared(text: string): string {
  const known = texts.get(text);
  if (known !== undefined) return known;
  texts.set(text, text);
  return text;
}
