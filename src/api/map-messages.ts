// What the map's page is told: JSON over HTTP, read-only. Types alone: the page loads nothing of ours but src/ui.

export type MapVerdict = "allowed" | "denied" | "would-deny" | "error";

/** `GET /api/mesh`: what is looked at. */
export interface MapMesh {
  readonly name: string;
  readonly trustDomain: string;
  readonly enforcement: "ENFORCE" | "AUDIT";
  readonly defaultAction: "DENY" | "ALLOW";
  /** Of the policies in force; null: none. */
  readonly revision: string | null;
  readonly policies: number;
  /** Why the policy files as they are now are not in force. */
  readonly faults: readonly string[];
  readonly workloads: number;
  readonly connectedSidecars: number;
  /** From the oldest stored flow to the newest. */
  readonly span: { readonly fromMs: number; readonly toMs: number } | null;
  /** The control plane's clock. */
  readonly nowMs: number;
  readonly reads: "all" | readonly string[];
}

/** A workload, or what stands for callers and places that are none. */
export interface MapNode {
  /** `namespace/name`; of what is in no namespace `/name`. */
  readonly id: string;
  readonly name: string;
  readonly namespace: string | null;
  /** outside: callers without an identity, and destinations that nobody knows. */
  readonly kind: "workload" | "outside";
  readonly principal: string | null;
  readonly service: string | null;
  /** Whether the registry has it now. */
  readonly isRegistered: boolean;
  /** Whether its sidecar is in touch with the control plane; null: it has none that we know of. */
  readonly isConnected: boolean | null;
}

/** All that went one way between two nodes on one port. */
export interface MapEdge {
  readonly id: string;
  readonly from: string;
  readonly to: string;
  readonly port: number;
  readonly protocol: "http" | "tcp";
  readonly flows: Readonly<Record<MapVerdict, number>>;
  /** Answers of class 5 to what was let through. */
  readonly failed: number;
  readonly total: number;
  readonly bytes: number;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  readonly tls: "mutual" | "none" | "mixed";
  /** Key exchange, where it was always the same. */
  readonly group: string | null;
  readonly isPostQuantum: boolean;
}

/** `GET /api/graph?from=&to=`. */
export interface MapGraph {
  /** The range that was summed: the question's to the minute, of long ones to ten minutes or the hour. */
  readonly fromMs: number;
  readonly toMs: number;
  /** What rates are per: the part of the range that has passed. */
  readonly seconds: number;
  readonly nodes: readonly MapNode[];
  readonly edges: readonly MapEdge[];
  readonly lostFlows: number;
}

/** One request or connection. */
export interface MapFlow {
  readonly id: string;
  readonly timeMs: number;
  readonly reporter: "source" | "destination";
  readonly verdict: MapVerdict;
  readonly reason: string;
  readonly from: string;
  readonly to: string;
  readonly source: { readonly principal: string | null; readonly address: string };
  readonly destination: { readonly principal: string | null; readonly service: string | null; readonly port: number };
  readonly protocol: "http" | "tcp";
  readonly method: string | null;
  readonly host: string | null;
  readonly path: string | null;
  readonly receivedPath: string | null;
  readonly status: number | null;
  readonly grpcStatus: number | null;
  readonly durationMs: number;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  readonly policy: string | null;
  readonly rule: number | null;
  readonly revision: string | null;
  readonly tls: string | null;
  readonly group: string | null;
  readonly traceId: string | null;
}

/** `GET /api/flows?from=&to=&source=&destination=&port=&verdict=&cursor=`: newest first. */
export interface MapFlows {
  readonly flows: readonly MapFlow[];
  readonly cursor: string | null;
}

/** A rule as it is written. */
export interface MapRule {
  /** `namespace/name`. */
  readonly policy: string;
  readonly rule: number;
  readonly file: string;
  readonly line: number | null;
  readonly excerpt: readonly { readonly number: number; readonly text: string; readonly isMarked: boolean }[];
  readonly clauses: readonly { readonly field: string; readonly expected: string; readonly actual: string }[];
}

/** `GET /api/explanation?id=`: why a flow came out as it did. */
export interface MapExplanation {
  readonly flow: MapFlow;
  readonly summary: string;
  /** What else is to be said, a sentence each. */
  readonly notes: readonly string[];
  readonly advice: string | null;
  /** The rule that decided. */
  readonly decided: MapRule | null;
  /** The ALLOW rule that came closest; its clauses are those that failed. */
  readonly nearest: MapRule | null;
  /** A policy that allows exactly this, to be put among the policies in git. Nothing is applied from here. */
  readonly grant: { readonly name: string; readonly namespace: string; readonly yaml: string } | null;
}

/** `GET /api/blast-radius?workload=`: what whoever holds a workload's identity can reach by policy. */
export interface MapBlast {
  readonly workload: string;
  readonly direct: readonly {
    readonly to: string;
    readonly port: number | null;
    readonly protocol: "http" | "tcp";
    readonly grants: readonly { readonly by: string; readonly example: string }[];
  }[];
  readonly reached: readonly { readonly to: string; readonly hops: number; readonly via: string }[];
  /** Reached as well, in namespaces that the reader may not see. */
  readonly hidden: number;
  /** Other workloads of the mesh. */
  readonly others: number;
  /** Destinations with more to tell apart than could be looked at. */
  readonly unknown: readonly string[];
}

/** `GET /api/coverage?from=&to=`: which policies allow what goes on, and which rules nobody used. */
export interface MapCoverage {
  /** Newest flows that were looked at, and since when. */
  readonly flows: number;
  readonly fromMs: number;
  readonly toMs: number;
  /** Whether that is the whole range that was asked for. */
  readonly isWhole: boolean;
  readonly edges: readonly {
    readonly from: string;
    readonly to: string;
    readonly port: number;
    readonly protocol: "http" | "tcp";
    readonly by: readonly { readonly policy: string | null; readonly rule: number | null; readonly flows: number }[];
  }[];
  readonly rules: readonly MapRuleUse[];
}

export interface MapRuleUse {
  readonly policy: string;
  readonly rule: number;
  readonly action: string;
  readonly file: string;
  readonly line: number | null;
  readonly flows: number;
  readonly lastMs: number | null;
}

/** `GET /api/readiness?from=&to=`: who would break under STRICT, and under a default of DENY. */
export interface MapReadiness {
  readonly fromMs: number;
  readonly toMs: number;
  readonly strict: {
    /** Ports of workloads that take plaintext today, by PeerAuthentication. */
    readonly lenient: readonly { readonly workload: string; readonly mode: string }[];
    readonly breaks: readonly MapBreak[];
  };
  readonly deny: {
    readonly isDefault: boolean;
    readonly isEnforced: boolean;
    readonly breaks: readonly MapBreak[];
    /** Destinations of which it is not known what is allowed. */
    readonly unknown: readonly string[];
  };
}

/** A client that would break. */
export interface MapBreak {
  readonly from: string;
  readonly to: string;
  readonly port: number;
  readonly protocol: "http" | "tcp";
  readonly flows: number;
  readonly why: string;
}

/** An answer that is none. */
export interface MapFault {
  readonly code: string;
  readonly message: string;
}
