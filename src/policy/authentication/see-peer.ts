import { type Decision, plaintextRefused } from "../decision.ts";
import type { PeerFacts, Workload } from "../facts.ts";
import type { AuthenticationDocument } from "./document.ts";
import { type MutualTls, mutualTlsAt, STRICT_BY_DEFAULT } from "./mutual-tls.ts";
import { peerAuthenticationsOf, resolveMutualTls } from "./resolve-peer.ts";

/** A caller as the sidecar before a workload's port sees it. */
export interface SeenPeer {
  readonly peer: PeerFacts;
  /** What comes of it before any policy is asked; null: nothing. */
  readonly refusal: Decision | null;
}

/** What holds for one workload. */
export function mutualTlsFor(
  documents: readonly AuthenticationDocument[],
  workload: Workload,
  rootNamespace: string,
): MutualTls {
  const peers = peerAuthenticationsOf(documents);
  return peers.length === 0 ? STRICT_BY_DEFAULT : resolveMutualTls(peers, workload, rootNamespace);
}

/** As proxy/inbound.ts has it: STRICT lets nobody in without an identity, and where mutual TLS is off nobody proves one. */
export function seePeer(mutualTls: MutualTls, peer: PeerFacts): SeenPeer {
  const { mode, by } = mutualTlsAt(mutualTls, peer.destinationPort);
  const isNobody = peer.principal === null;
  if (mode === "DISABLE") return { peer: isNobody ? peer : { ...peer, principal: null }, refusal: null };
  return { peer, refusal: mode === "PERMISSIVE" || !isNobody ? null : plaintextRefused(by) };
}

/** Whether a caller without identity gets to the policies of some port; null: of any port. */
export function letsPlaintextIn(mutualTls: MutualTls, port: number | null): boolean {
  if (port !== null) return mutualTlsAt(mutualTls, port).mode !== "STRICT";
  return [mutualTls, ...mutualTls.ports.values()].some(({ mode }) => mode !== "STRICT");
}
