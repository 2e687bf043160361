import type { SpiffeId } from "../core/spiffe-id.ts";
import type { Claims } from "./claims.ts";
import type { MeshSettings } from "./mesh-settings.ts";

/** What is known of a connection (of a stream, where one connection carries several) before any request. */
export interface PeerFacts {
  /** The peer's verified identity; null when it proved none. */
  readonly principal: SpiffeId | null;
  /** The address that the connection came from. */
  readonly sourceIp: string;
  /** The original client's address by trusted forwarding headers; the same as sourceIp where there are none. */
  readonly remoteIp: string;
  readonly destinationIp: string;
  /** The container port: what `ports` in a policy means, after any Service port was translated. */
  readonly destinationPort: number;
  /** The client's server_name, or null. */
  readonly sni: string | null;
}

/** What a decision looks at in a request. */
export interface RequestFacts {
  /** With the case that it was sent in. */
  readonly method: string;
  /** Normalised, without query: the very path that is forwarded. */
  readonly path: string;
  /** The authority as received, port included when it was sent. Empty: there was none. */
  readonly host: string;
  /** A header's value by lower-case name; several fields of that name are joined by a comma. Undefined: absent. */
  header(lowerName: string): string | undefined;
  /** Of the token that was verified; null: the request brought none. Texts that are lists of words are lists here. */
  readonly claims: Claims | null;
}

/** The workload that a policy set is compiled for. */
export interface Workload {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Who asks what, under which settings. */
export interface Question {
  readonly workload: Workload;
  readonly settings: MeshSettings;
  readonly peer: PeerFacts;
  /** Null: bytes other than HTTP. */
  readonly request: RequestFacts | null;
  /** It is told by a flow record, which does not carry all that a rule may ask for. */
  readonly isRecorded?: true;
}
