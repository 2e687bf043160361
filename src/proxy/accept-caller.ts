import { CardeaError } from "../core/errors.ts";
import type { Latest } from "../core/latest.ts";
import { LIMITS } from "../core/limits.ts";
import type { Clock, Connection, Network, SecureConnection } from "../core/ports.ts";
import { type FlowTls, NO_TLS } from "../observe/flow.ts";
import { type AcceptGate, readFirstBytes } from "./accept.ts";
import { lookForTls } from "./detect.ts";
import { type Caller, identifyCaller, type OwnIdentity } from "./identify.ts";

/** What accepting takes of a sidecar. */
interface AcceptScope {
  readonly network: Network;
  readonly clock: Clock;
  readonly own: Latest<OwnIdentity | null>;
  readonly gate: AcceptGate;
}

interface AcceptOptions {
  readonly chooseAlpn: (offered: readonly string[]) => string | null;
  /** The handshake is through; who it was with is not known yet. */
  readonly onSecure: (secure: SecureConnection) => void;
}

/** A connection between sidecars whose other end has proved who it is. */
export interface AcceptedCaller {
  readonly secure: SecureConnection;
  readonly own: OwnIdentity;
  readonly caller: Caller;
}

/**
 * accept → detect → identify: mutual TLS, and the chain that proves the caller. Errors: as `readFirstBytes`,
 * `Network.serveTls` and `identifyCaller`, `identity-not-ready`, `plaintext-refused`, `overloaded`, `draining`.
 */
export async function acceptCaller(
  connection: Connection,
  scope: AcceptScope,
  { chooseAlpn, onSecure }: AcceptOptions,
): Promise<AcceptedCaller> {
  const own = usableIdentity(scope);
  const secure = await scope.gate.run(() => secureConnection(connection, own, scope, chooseAlpn));
  onSecure(secure);
  return { secure, own, caller: identifyCaller(secure, own, scope.clock.wallMs()) };
}

/** For the record. */
export function tlsOf(secure: SecureConnection | null): FlowTls {
  if (secure === null) return NO_TLS;
  const { version, group, sni } = secure.tls;
  return Object.freeze({ version, group, sni });
}

function usableIdentity({ own, clock }: AcceptScope): OwnIdentity {
  const identity = own.get();
  if (identity !== null && clock.wallMs() < identity.identity.notAfterMs) return identity;
  throw new CardeaError("identity-not-ready", "this sidecar holds no valid certificate");
}

async function secureConnection(
  connection: Connection,
  own: OwnIdentity,
  { network, clock }: AcceptScope,
  chooseAlpn: AcceptOptions["chooseAlpn"],
): Promise<SecureConnection> {
  // Plaintext is refused at the first octet that gives it away: whoever sends one and waits would hold a place meanwhile.
  const head = await readFirstBytes(connection, (first) => lookForTls(first) !== "undecided", clock);
  if (lookForTls(head) === "plaintext") throw new CardeaError("plaintext-refused", "the caller did not begin with TLS");
  return network.serveTls(connection, head, {
    context: own.context,
    handshakeTimeoutMs: LIMITS.handshakeTimeoutMs,
    chooseAlpn,
  });
}
