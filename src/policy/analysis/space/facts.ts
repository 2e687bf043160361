import type { SpiffeId } from "../../../core/spiffe-id.ts";
import type { Claims } from "../../claims.ts";
import type { PeerFacts, Question, RequestFacts, Workload } from "../../facts.ts";
import type { MeshSettings } from "../../mesh-settings.ts";

/** What is known of one request, or of one connection where it is not HTTP: an example of all that are decided alike. */
export interface Facts {
  readonly principal: SpiffeId | null;
  readonly sourceIp: string;
  /** By trusted forwarding headers; null: the same as sourceIp. */
  readonly remoteIp: string | null;
  readonly destinationIp: string;
  readonly destinationPort: number;
  readonly sni: string;
  readonly method: string;
  /** Normalised. */
  readonly path: string;
  readonly host: string;
  /** By lower-case name; a name that is not there is a header that was not sent. */
  readonly headers: Readonly<Record<string, string>>;
  /** Of the verified token; null: there was none. */
  readonly claims: Claims | null;
}

/** Addresses of documentation (RFC 5737), for clauses that do not ask. */
export const PLAIN_FACTS: Facts = {
  principal: null,
  sourceIp: "192.0.2.1",
  remoteIp: null,
  destinationIp: "192.0.2.2",
  destinationPort: 8080,
  sni: "",
  method: "GET",
  path: "/",
  host: "",
  headers: {},
  claims: null,
};

/** Whether a destination is asked in HTTP or sent other bytes. */
export type Protocol = "http" | "tcp";

export function peerOf(facts: Facts): PeerFacts {
  const { principal, sourceIp, destinationIp, destinationPort, sni } = facts;
  return {
    principal,
    sourceIp,
    remoteIp: facts.remoteIp ?? sourceIp,
    destinationIp,
    destinationPort,
    sni: sni === "" ? null : sni,
  };
}

export function requestOf({ method, path, host, headers, claims }: Facts): RequestFacts {
  const header = (name: string): string | undefined => (Object.hasOwn(headers, name) ? headers[name] : undefined);
  return { method, path, host, header, claims };
}

/** The question that the facts ask, for the code that enforces. */
export function questionOf(
  facts: Facts,
  about: { readonly workload: Workload; readonly settings: MeshSettings; readonly protocol: Protocol },
): Question {
  const { workload, settings, protocol } = about;
  return { workload, settings, peer: peerOf(facts), request: protocol === "http" ? requestOf(facts) : null };
}
