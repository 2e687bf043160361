import type { Latest } from "../../core/latest.ts";
import type { MutualTls } from "../../policy/authentication/mutual-tls.ts";
import type { PeerAuthentication } from "../../policy/authentication/peer-authentication.ts";
import { peerAuthenticationsOf, resolveMutualTls } from "../../policy/authentication/resolve-peer.ts";
import type { Workload } from "../../policy/facts.ts";
import type { PolicyContent } from "./policy-content.ts";

/** Container ports that take plaintext alone: all but these, or these. */
export interface PlaintextPorts {
  readonly allBut: boolean;
  readonly ports: readonly number[];
}

/** What the PeerAuthentications in force say to callers: no field of the registry's own does. */
export interface PlaintextTable {
  /** Null, as for most: mutual TLS is taken on every port. */
  of(workload: Workload): PlaintextPorts | null;
  /** Called when it may be another for some. */
  subscribe(onChange: () => void): () => void;
}

export function createPlaintextTable(policies: Latest<PolicyContent | null>, rootNamespace: string): PlaintextTable {
  let documents = peerAuthenticationsOf(policies.get()?.authentication ?? []);
  return {
    // Nobody says DISABLE in most meshes, and endpoints come and go by the thousand.
    of: (workload) => (documents.some(disables) ? plaintextPortsOf(workload) : null),
    subscribe: (onChange) =>
      policies.subscribe((content) => {
        const before = documents;
        documents = peerAuthenticationsOf(content?.authentication ?? []);
        if (!isSame(before, documents)) onChange();
      }),
  };

  function plaintextPortsOf(workload: Workload): PlaintextPorts | null {
    return toPlaintextPorts(resolveMutualTls(documents, workload, rootNamespace));
  }
}

function toPlaintextPorts({ mode, ports }: MutualTls): PlaintextPorts | null {
  const allBut = mode === "DISABLE";
  const others = [...ports].filter((port) => (port[1].mode === "DISABLE") !== allBut).map(([port]) => port);
  return allBut || others.length > 0 ? { allBut, ports: others.toSorted((left, right) => left - right) } : null;
}

function disables({ mode, ports }: PeerAuthentication): boolean {
  return mode === "DISABLE" || [...ports.values()].includes("DISABLE");
}

/** Documents that did not change are the very same objects in the next content. */
function isSame(left: readonly object[], right: readonly object[]): boolean {
  return left.length === right.length && left.every((each, index) => each === right[index]);
}
