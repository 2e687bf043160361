import { CardeaError } from "../core/errors.ts";
import type { Latest } from "../core/latest.ts";
import { LIMITS } from "../core/limits.ts";
import type { Clock, Connection, Network, SecureConnection, TlsFacts } from "../core/ports.ts";
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

export interface AcceptOptions {
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
  options: AcceptOptions,
): Promise<AcceptedCaller> {
  const own = usableIdentity(scope);
  const head = await scope.gate.run(() => readTlsStart(connection, scope));
  return secureCaller(connection, head, { ...options, own, scope });
}

interface SecureOptions extends AcceptOptions {
  readonly own: OwnIdentity;
  readonly scope: AcceptScope;
}

/** The same of a connection that has begun with TLS: `head` is what was read of it. */
export async function secureCaller(
  connection: Connection,
  head: Buffer,
  { own, scope, chooseAlpn, onSecure }: SecureOptions,
): Promise<AcceptedCaller> {
  const { network, clock, gate } = scope;
  const { context } = own;
  const { handshakeTimeoutMs } = LIMITS;
  const secure = await gate.run(() => network.serveTls(connection, head, { context, handshakeTimeoutMs, chooseAlpn }));
  onSecure(secure);
  return { secure, own, caller: identifyCaller(secure, own, clock.wallMs()) };
}

/** For the record; null: there is no TLS of the mesh's. */
export function tlsOf(connection: { readonly tls: TlsFacts | null } | null): FlowTls {
  if (connection === null || connection.tls === null) return NO_TLS;
  const { version, group, sni } = connection.tls;
  return Object.freeze({ version, group, sni });
}

/** Errors: `identity-not-ready`. */
export function usableIdentity({ own, clock }: Pick<AcceptScope, "own" | "clock">): OwnIdentity {
  const identity = own.get();
  if (identity !== null && clock.wallMs() < identity.identity.notAfterMs) return identity;
  throw new CardeaError("identity-not-ready", "this sidecar holds no valid certificate");
}

async function readTlsStart(connection: Connection, { clock }: AcceptScope): Promise<Buffer> {
  // Plaintext is refused at the first octet that gives it away: whoever sends one and waits would hold a place meanwhile.
  const head = await readFirstBytes(connection, (first) => lookForTls(first) !== "undecided", clock);
  if (lookForTls(head) === "plaintext") throw new CardeaError("plaintext-refused", "the caller did not begin with TLS");
  return head;
}
