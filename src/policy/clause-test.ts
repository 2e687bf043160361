import { cidrHolds, type IpAddress, parseCidr, parseIp } from "../core/cidr.ts";
import type { SpiffeId } from "../core/spiffe-id.ts";
import type { PeerAttribute, RequestAttribute } from "./attributes.ts";
import type { Clause } from "./clause.ts";
import type { AuthorizationPolicy } from "./document.ts";
import type { PeerFacts, RequestFacts } from "./facts.ts";
import { namespaceMatcher, principalMatcher, serviceAccountMatcher, trustDomainMatcher } from "./identity-matcher.ts";
import {
  compilePath,
  compileText,
  matchesPath,
  matchesText,
  type PathMatcher,
  type TextMatcher,
  claimMatches,
  compileUsers,
  matchesUser,
  type UserMatcher,
} from "./matcher.ts";
import type { MeshSettings } from "./mesh-settings.ts";
import type { Literal } from "./normal-form.ts";
import { matchesPathTemplate, type TemplatePart } from "./path-template.ts";
import { parsePort } from "./values.ts";

/** PeerFacts with the addresses read, once a connection. */
export interface PeerView {
  readonly principal: SpiffeId | null;
  /** Null: not an address. What is unknown never lets anything through, see `ipTest`. */
  readonly sourceIp: IpAddress | null;
  readonly remoteIp: IpAddress | null;
  readonly destinationIp: IpAddress | null;
  readonly destinationPort: number;
  readonly sni: string | null;
}

export type PeerTest = (peer: PeerView) => boolean;

/** A clause on a request, as data: this is run for every request. */
export type RequestTest =
  | { readonly of: "method" | "host"; readonly matcher: TextMatcher; readonly isNegated: boolean }
  | { readonly of: "path"; readonly matcher: PathMatcher; readonly isNegated: boolean }
  | { readonly of: "header"; readonly name: string; readonly matcher: TextMatcher; readonly isNegated: boolean }
  /** One template of a path clause, where the clause's others are known not to count. */
  | { readonly of: "template"; readonly template: readonly TemplatePart[]; readonly isWide: boolean }
  | { readonly of: "user"; readonly matchers: readonly UserMatcher[]; readonly isNegated: boolean }
  | {
      readonly of: "claim";
      readonly path: readonly string[];
      readonly matcher: TextMatcher;
      readonly isNegated: boolean;
    };

/** What compiling a clause needs to know of its surroundings. */
export interface ClauseContext extends Omit<Literal, "clause"> {
  readonly settings: MeshSettings;
}

export function readPeer(peer: PeerFacts): PeerView {
  return {
    principal: peer.principal,
    sourceIp: parseIp(peer.sourceIp),
    remoteIp: parseIp(peer.remoteIp),
    destinationIp: parseIp(peer.destinationIp),
    destinationPort: peer.destinationPort,
    sni: peer.sni,
  };
}

/**
 * Whether the clause, by holding, takes access away: a match of DENY, or a `not…` of ALLOW. Such a clause is
 * matched wide and one that grants narrow, so that where we differ from Istio we only ever deny more. AUDIT is read
 * like DENY: rather too much is marked than too little.
 */
export function isMatchedWide(clause: Clause, policy: AuthorizationPolicy): boolean {
  return (policy.action !== "ALLOW") !== clause.isNegated;
}

/** A clause on the peer → its test. */
export function compilePeerTest(clause: Clause, attribute: PeerAttribute, context: ClauseContext): PeerTest {
  const matches = peerMatcher(clause, attribute, context);
  return clause.isNegated ? (peer) => !matches(peer) : matches;
}

/** A clause on the request → its test. */
export function compileRequestTest(
  clause: Clause,
  attribute: RequestAttribute,
  policy: AuthorizationPolicy,
): RequestTest {
  const { values, isNegated } = clause;
  switch (attribute) {
    case "request.method":
      return { of: "method", matcher: compileText(values), isNegated };
    case "request.path":
      return { of: "path", matcher: compilePath(values, isMatchedWide(clause, policy)), isNegated };
    case "request.host":
      return { of: "host", matcher: compileText(values.map((value) => value.toLowerCase())), isNegated };
    case "request.headers":
      return { of: "header", name: clause.header ?? "", matcher: compileText(values), isNegated };
    case "request.auth.principal":
      return { of: "user", matchers: compileUsers(values), isNegated };
    case "request.auth.audiences":
    case "request.auth.presenter":
    case "request.auth.claims":
      return { of: "claim", path: clause.claim ?? [], matcher: compileText(values), isNegated };
  }
}

/** Whether the request fits. Per request; builds nothing but a lower-case host. */
export function requestTestHolds(test: RequestTest, request: RequestFacts): boolean {
  switch (test.of) {
    case "method":
      return matchesText(test.matcher, request.method) !== test.isNegated;
    case "path":
      return matchesPath(test.matcher, request.path) !== test.isNegated;
    case "host":
      return matchesText(test.matcher, request.host.toLowerCase()) !== test.isNegated;
    case "header":
      return headerMatches(test.matcher, headerOf(request, test.name)) !== test.isNegated;
    case "template":
      return matchesPathTemplate(test.template, request.path, test.isWide);
    case "user":
      return matchesUser(test.matchers, request.claims) !== test.isNegated;
    case "claim":
      return claimMatches(test.matcher, test.path, request.claims) !== test.isNegated;
  }
}

/** The value that `request.headers[name]` means: `host` is the authority, as HTTP/2 and Envoy have it. */
export function headerOf(request: RequestFacts, name: string): string | undefined {
  if (name !== "host") return request.header(name);
  return request.host === "" ? undefined : request.host;
}

/** `*` on a header asks for presence, and an empty header is present (Envoy's present_match). */
function headerMatches(matcher: TextMatcher, value: string | undefined): boolean {
  return value !== undefined && (matcher.anyText || matchesText(matcher, value));
}

function peerMatcher(clause: Clause, attribute: PeerAttribute, context: ClauseContext): PeerTest {
  const { policy, settings } = context;
  const isWide = isMatchedWide(clause, policy);
  const anyDomain = isWide || context.namesTrustDomains;
  switch (attribute) {
    case "source.principal":
      return identityTest(principalMatcher(clause.values, settings));
    case "source.namespace":
      return identityTest(namespaceMatcher(clause.values, settings, anyDomain));
    case "source.serviceAccount":
      return identityTest(serviceAccountMatcher(clause.values, policy.namespace, settings, anyDomain));
    case "source.trustDomain":
      return identityTest(trustDomainMatcher(clause.values, settings));
    case "source.ip":
      return ipTest(clause.values, (peer) => peer.sourceIp, isWide);
    case "remote.ip":
      return ipTest(clause.values, (peer) => peer.remoteIp, isWide);
    case "destination.ip":
      return ipTest(clause.values, (peer) => peer.destinationIp, isWide);
    case "destination.port":
      return portTest(clause.values);
    case "connection.sni":
      return sniTest(clause.values);
  }
}

/** A peer that proved no identity matches none; its `not…` clauses therefore hold, as Istio has it. */
function identityTest(matches: (id: SpiffeId) => boolean): PeerTest {
  return (peer) => peer.principal !== null && matches(peer.principal);
}

/** An address that is not known counts as outside what grants and inside what takes away. */
function ipTest(values: readonly string[], addressOf: (peer: PeerView) => IpAddress | null, isWide: boolean): PeerTest {
  const blocks = values.map(parseCidr);
  return (peer) => {
    const address = addressOf(peer);
    return address === null ? isWide : blocks.some((block) => cidrHolds(block, address));
  };
}

function portTest(values: readonly string[]): PeerTest {
  const ports = new Set(values.map(parsePort));
  return (peer) => ports.has(peer.destinationPort);
}

function sniTest(values: readonly string[]): PeerTest {
  const matcher = compileText(values);
  return (peer) => matchesText(matcher, peer.sni ?? "");
}
