import { CardeaError } from "../../core/errors.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Address, Clock, Connection, Network, SecureConnection, TlsMaterial } from "../../core/ports.ts";
import type { SpiffeId } from "../../core/spiffe-id.ts";
import type { TrustBundles } from "../../pki/bundle.ts";
import { verifyPeerChain } from "../../pki/verify.ts";
import { Http2ClientConnection } from "../http2/client-connection.ts";
import type { Identity } from "../identity/identity.ts";
import { lifetimeOf } from "../lifetime.ts";
import { LiveConnections } from "../live.ts";
import type { Channel } from "../streams.ts";

export interface ControlConnectionOptions {
  readonly control: ControlEndpoint;
  /** The pinned roots: the control plane's chain ends in one of them. */
  readonly bundles: TrustBundles;
  /** What we present, or null before the first certificate. */
  readonly identity: Identity | null;
  readonly network: Network;
  readonly clock: Clock;
}

/** Where the control plane is, and who it must prove to be. */
export interface ControlEndpoint {
  readonly address: Address;
  readonly spiffeId: SpiffeId;
}

export interface ControlConnection {
  /** HTTP/2: calls may be made at once. */
  readonly channel: Channel;
  /** Takes no more calls, and ends when those under way have. */
  close(): void;
}

/** The control plane proves a SPIFFE ID, not a host name; an IP address as server_name would be malformed. */
export const CONTROL_NAME = "cardea-control";

/**
 * A connection to the control plane, which has proved who it is before anything is told to it. It ends with the
 * certificates that made it. Errors: `upstream-connect-failed`, `upstream-connect-timeout`, `tls-handshake-failed`,
 * `peer-identity-mismatch` and those of `verifyPeerChain`.
 */
export async function openControlConnection(
  options: ControlConnectionOptions,
  signal: AbortSignal,
): Promise<ControlConnection> {
  const { control, network, clock } = options;
  const connection = await network.dial(control.address, { timeoutMs: LIMITS.connectTimeoutMs, signal });
  const secure = await startTls(connection, options);
  try {
    signal.throwIfAborted();
    const endsAtMs = provedUntilMs(secure, options);
    const live = new LiveConnections(clock);
    const lifetime = lifetimeOf("upstream", endsAtMs, clock.wallMs());
    const { version, group, sni } = secure.tls;
    const tls = { version, group, sni };
    const channel = new Http2ClientConnection(secure, {
      owner: NO_OWNER,
      live,
      lifetime,
      tls,
      clock,
      probesPeer: true,
      scheme: "https",
    });
    return { channel, close: () => live.drain() };
  } catch (error) {
    secure.destroy({ reset: true });
    throw error;
  }
}

/** Of who asks for its first certificate. */
const NO_MATERIAL: TlsMaterial = { chainPem: "", keyPem: "" };

function startTls(connection: Connection, { network, identity }: ControlConnectionOptions): Promise<SecureConnection> {
  const context = network.createTlsContext(identity?.material ?? NO_MATERIAL);
  const { handshakeTimeoutMs } = LIMITS;
  return network.startTls(connection, { context, handshakeTimeoutMs, alpn: ["h2"], sni: CONTROL_NAME });
}

/** The TLS library lets every chain pass; here it counts. Answers when the first certificate of either side ends. */
function provedUntilMs({ tls }: SecureConnection, options: ControlConnectionOptions): number {
  const { control, bundles, identity, clock } = options;
  if (tls.alpn !== "h2") throw new CardeaError("tls-handshake-failed", "the control plane does not speak HTTP/2");
  const peer = verifyPeerChain(tls.peerChain, bundles, clock.wallMs());
  if (peer.spiffeId === control.spiffeId) return Math.min(peer.notAfterMs, identity?.notAfterMs ?? Infinity);
  const message = `the control plane proved ${peer.spiffeId}, not ${control.spiffeId}`;
  throw new CardeaError("peer-identity-mismatch", message);
}

/** Nobody else uses the connection: its calls hear of its end themselves. */
const NO_OWNER = { onFree: () => {}, onKnown: () => {}, onGone: () => {} };
