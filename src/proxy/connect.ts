import { CardeaError, toCardeaError } from "../core/errors.ts";
import type { Latest } from "../core/latest.ts";
import { LIMITS } from "../core/limits.ts";
import type { Clock, Connection, Network, SecureConnection } from "../core/ports.ts";
import { type FlowTls, NO_TLS } from "../observe/flow.ts";
import { verifyPeerChain } from "../pki/verify.ts";
import { httpProtocolOf } from "./detect.ts";
import type { OwnIdentity } from "./identify.ts";
import { type Lifetime, lifetimeOf, UNLIMITED } from "./lifetime.ts";
import type { HttpProtocol } from "./streams.ts";
import type { Target, TargetPeer } from "./target.ts";

/** A connection to a target, who is there having been proved. */
export interface OpenedConnection {
  readonly connection: Connection;
  readonly tls: FlowTls;
  readonly lifetime: Lifetime;
  /** What was agreed on, where the target is spoken to in HTTP. */
  readonly protocol: HttpProtocol;
  /** To be called once when it is over, where it is a part of something shared. */
  readonly release?: () => void;
}

interface ConnectorOptions {
  readonly network: Network;
  readonly clock: Clock;
  readonly identity: Latest<OwnIdentity | null>;
}

/** Opens connections to targets: mutual TLS to other workloads, never anything else; plain TCP to our own app alone. */
export class Connector {
  readonly #network: Network;
  readonly #clock: Clock;
  readonly #identity: Latest<OwnIdentity | null>;

  constructor({ network, clock, identity }: ConnectorOptions) {
    this.#network = network;
    this.#clock = clock;
    this.#identity = identity;
  }

  /**
   * `offer` narrows down the protocols that the target may be spoken to in.
   * Errors: `upstream-connect-failed`, `upstream-connect-timeout`, `identity-not-ready`, and `peer-identity-mismatch`
   * when the peer does not prove to be the workload that was chosen (addresses are used again).
   */
  async open(target: Target, offer: readonly string[] | null = null): Promise<OpenedConnection> {
    const { host, dialPort, peer, from } = target;
    const own = peer === null ? null : this.#usableIdentity();
    const timeoutMs = target.settings?.connectTimeoutMs ?? LIMITS.connectTimeoutMs;
    const source = from === null ? {} : { localHost: from };
    const options = { timeoutMs, isPlain: peer === null, ...source };
    const connection = await this.#network.dial({ host, port: dialPort }, options);
    if (peer === null || own === null)
      return { connection, tls: NO_TLS, lifetime: UNLIMITED, protocol: unasked(target, offer) };
    const alpn = offer ?? peer.alpn;
    const secure = await this.#startTls(connection, own, { ...peer, alpn });
    try {
      const proved = this.#verify(secure, own, peer);
      return { connection: secure, ...proved, protocol: agreedOn(secure, alpn) };
    } catch (error) {
      secure.destroy({ reset: true });
      throw error;
    }
  }

  #usableIdentity(): OwnIdentity {
    const own = this.#identity.get();
    if (own !== null && this.#clock.wallMs() < own.identity.notAfterMs) return own;
    throw new CardeaError("identity-not-ready", "there is no valid certificate to show to the upstream");
  }

  async #startTls(connection: Connection, own: OwnIdentity, peer: TargetPeer): Promise<SecureConnection> {
    try {
      return await this.#network.startTls(connection, {
        context: own.context,
        handshakeTimeoutMs: LIMITS.handshakeTimeoutMs,
        alpn: peer.alpn,
        sni: peer.sni,
      });
    } catch (thrown) {
      const error = toCardeaError(thrown);
      // The code is downstream's when it is the caller's handshake that fails; this one is the upstream's.
      if (error.code !== "tls-handshake-failed") throw error;
      throw new CardeaError("upstream-connect-failed", error.message, error);
    }
  }

  #verify(secure: SecureConnection, own: OwnIdentity, peer: TargetPeer): { tls: FlowTls; lifetime: Lifetime } {
    const nowMs = this.#clock.wallMs();
    const proved = provedBy(secure, own, nowMs);
    if (proved.spiffeId !== peer.spiffeId) {
      throw new CardeaError("peer-identity-mismatch", `the upstream is ${proved.spiffeId}, not ${peer.spiffeId}`);
    }
    const { version, group } = secure.tls;
    const lifetime = lifetimeOf("upstream", Math.min(own.identity.notAfterMs, proved.notAfterMs), nowMs);
    return { tls: Object.freeze({ version, group, sni: peer.sni }), lifetime };
  }
}

/** Without a handshake: as declared, unless only HTTP/1.1 will do (an upgrade); who does not take it then says so. */
function unasked({ speaks }: Target, offer: readonly string[] | null): HttpProtocol {
  return speaks === "h2" && (offer === null || offer.includes("h2")) ? "h2" : "http/1.1";
}

function agreedOn(secure: SecureConnection, offer: readonly string[]): HttpProtocol {
  const { alpn } = secure.tls;
  if (alpn !== null && offer.includes(alpn)) return httpProtocolOf(alpn);
  throw new CardeaError("upstream-connect-failed", `the upstream speaks ${alpn}, and none of ${offer.join()}`);
}

function provedBy(secure: SecureConnection, own: OwnIdentity, nowMs: number): ReturnType<typeof verifyPeerChain> {
  try {
    return verifyPeerChain(secure.tls.peerChain, own.identity.bundles, nowMs);
  } catch (thrown) {
    const error = toCardeaError(thrown);
    throw new CardeaError("peer-identity-mismatch", `the upstream proves no identity: ${error.message}`, error);
  }
}
