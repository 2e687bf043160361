import type { Latest } from "../core/latest.ts";
import type { FlowReason } from "../observe/flow.ts";
import {
  type BoundPolicy,
  bindPeer,
  type Decision,
  decideBound,
  decideTcp,
  observeBound,
  observeTcp,
  type PeerFacts,
  POLICY_NOT_LOADED,
  type RequestFacts,
} from "../policy/decide.ts";
import type { Observation } from "../policy/observation.ts";
import type { PolicySet } from "./discovery/policy-sinks.ts";
import { isGrpcType } from "./grpc.ts";
import { originalClientOf } from "./headers.ts";
import type { Target } from "./target.ts";

/** Why a permit was given, for the record. */
export interface Grant {
  readonly verdict: "allowed" | "would-deny";
  readonly reason: FlowReason;
  readonly policy: string | null;
  readonly rule: number | null;
  readonly revision: string | null;
  readonly observation: Observation | null;
  /** The original client by trusted forwarding headers; null: none is looked for. */
  readonly remoteIp: string | null;
  /** Of a grant that names one. */
  readonly ticket?: string | undefined;
}

/**
 * Leave to forward one request or one connection to one target. Only this file can make one: the class is not
 * exported and its private field makes the type its own.
 */
class GrantedPermit {
  readonly target: Target;
  readonly grant: Grant;
  readonly #isGenuine = true;

  constructor(target: Target, grant: Grant) {
    this.target = target;
    this.grant = grant;
  }

  static isGenuine(value: object): boolean {
    return #isGenuine in value && value.#isGenuine;
  }
}

export type Permit = GrantedPermit;

/** A refusal, as it is recorded; the caller learns nothing of it but its id. */
export interface Denial {
  readonly decision: Decision;
  readonly revision: string | null;
  readonly observation: Observation | null;
  readonly remoteIp: string | null;
}

export type Authorization =
  | { readonly allow: true; readonly permit: Permit }
  | { readonly allow: false; readonly denial: Denial };

/** For forward.ts: whether an object is a permit that was made here, whatever its type claims. */
export function isPermit(value: object): value is Permit {
  return GrantedPermit.isGenuine(value);
}

/**
 * Outbound: the registry knows the service and the workload was chosen from it (egress REGISTRY_ONLY). This is no
 * boundary against a breached app, which may step around its own sidecar: the other side's inbound is.
 */
export function permitEgress(target: Target): Permit {
  return new GrantedPermit(target, SERVICE_REGISTERED);
}

/** What inbound authorization needs besides the peer. */
export interface InboundRules {
  readonly policy: Latest<PolicySet | null>;
  /** Overrides the mesh's enforcement, where this sidecar is being introduced. */
  readonly enforcement: "ENFORCE" | "AUDIT" | null;
  readonly target: Target;
  /** Where gRPC's calls go instead: an app of no declared protocol takes them over HTTP/2 alone. Null: nowhere else. */
  readonly grpcTarget: Target | null;
}

/** Decides for one peer connection. What the peer alone decides is worked out once for each policy revision. */
export class PeerAuthorizer {
  readonly peer: PeerFacts;
  readonly #rules: InboundRules;
  #set: PolicySet | null = null;
  #bound: BoundPolicy | null = null;

  constructor(peer: PeerFacts, rules: InboundRules) {
    this.peer = peer;
    this.#rules = rules;
  }

  /** One HTTP request. `denied`: a step before the decision has said no already. */
  authorizeRequest(request: RequestFacts, denied: Decision | null = null): Authorization {
    const set = this.#rules.policy.get();
    if (set === null) return NOT_LOADED;
    const remoteIp = this.#remoteIpOf(request, set.settings.numTrustedProxies);
    const bound = remoteIp === null ? this.#boundTo(set) : bindPeer(set.compiled, { ...this.peer, remoteIp });
    const { target, grpcTarget } = this.#rules;
    const isGrpc = grpcTarget !== null && isGrpcType(request.header("content-type") ?? "");
    const decision = denied ?? decideBound(bound, request);
    const observation = observeBound(bound, request, decision);
    return this.#conclude(decision, { observation, remoteIp, set, target: isGrpc ? grpcTarget : target });
  }

  #boundTo(set: PolicySet): BoundPolicy {
    if (set !== this.#set || this.#bound === null) {
      this.#set = set;
      this.#bound = bindPeer(set.compiled, this.peer);
    }
    return this.#bound;
  }

  /** What is known of the peer where a request says more of it than its connection. */
  peerOf(request: RequestFacts): PeerFacts {
    const set = this.#rules.policy.get();
    const remoteIp = set === null ? null : this.#remoteIpOf(request, set.settings.numTrustedProxies);
    return remoteIp === null ? this.peer : { ...this.peer, remoteIp };
  }

  /** Null, as in most meshes: it is the connection's for all requests. */
  #remoteIpOf(request: RequestFacts, trustedProxies: number): string | null {
    if (trustedProxies === 0) return null;
    return originalClientOf(request.header("x-forwarded-for"), trustedProxies, this.peer.sourceIp);
  }

  /** A connection whose bytes nobody reads. */
  authorizeConnection(denied: Decision | null = null): Authorization {
    const set = this.#rules.policy.get();
    if (set === null) return NOT_LOADED;
    const decision = denied ?? decideTcp(set.compiled, this.peer);
    const observation = observeTcp(set.compiled, this.peer, decision);
    return this.#conclude(decision, { observation, remoteIp: null, set, target: this.#rules.target });
  }

  #conclude(decision: Decision, { observation, remoteIp, set, target }: Concluded): Authorization {
    const { revision, settings } = set;
    const isAudit = (this.#rules.enforcement ?? settings.enforcement) === "AUDIT";
    if (!decision.allow && !isAudit) return { allow: false, denial: { decision, revision, observation, remoteIp } };
    const { reason, policy, rule, ticket } = decision;
    const verdict = decision.allow ? "allowed" : "would-deny";
    const grant = { verdict, reason, policy, rule, revision, observation, remoteIp, ticket } as const;
    return { allow: true, permit: new GrantedPermit(target, grant) };
  }
}

interface Concluded {
  readonly observation: Observation | null;
  readonly remoteIp: string | null;
  readonly set: PolicySet;
  readonly target: Target;
}

const NOT_LOADED: Authorization = Object.freeze({
  allow: false,
  denial: Object.freeze({ decision: POLICY_NOT_LOADED, revision: null, observation: null, remoteIp: null }),
});

/** A request that a traffic rule of ours answers: nothing is forwarded. */
export const ROUTE_ANSWERED: Grant = Object.freeze({
  verdict: "allowed",
  reason: "route-answered",
  policy: null,
  rule: null,
  revision: null,
  observation: null,
  remoteIp: null,
});

const SERVICE_REGISTERED: Grant = Object.freeze({
  verdict: "allowed",
  reason: "service-registered",
  policy: null,
  rule: null,
  revision: null,
  observation: null,
  remoteIp: null,
});
