import { ERROR_TABLE, type ErrorCode } from "../core/errors.ts";
import type { FlowReason } from "./flow.ts";

/** What to do about an outcome that no policy decided. */
const ADVICE: Readonly<Partial<Record<ErrorCode, string>>> = {
  "policy-not-loaded":
    "Nothing is let through before the first policy set has arrived. If it lasts, the sidecar does not reach its control plane: cardea status.",
  "admission-timeout":
    "A service that a CUSTOM policy asks for its decision was not quick enough. Is it up, and does the sidecar reach it? The sidecar's log says which.",
  "identity-not-ready":
    "The sidecar has no certificate yet. If it lasts, it cannot reach the authority or its join token was refused: cardea status, and the sidecar's log.",
  "plaintext-refused":
    "Whoever this was spoke without TLS to a port that belongs to a sidecar. Callers go through a sidecar of their own (cardea run --service NAME -- CMD); for one that has none, a PeerAuthentication can say PERMISSIVE for the port.",
  "tls-handshake-failed":
    "The peer spoke TLS that we do not (mesh ports take TLS 1.3 with a client certificate) or ended the handshake itself, as a client does that does not trust our root.",
  "peer-certificate-missing":
    "The peer spoke TLS without a client certificate, so it has no identity. Callers go through a sidecar of their own: cardea run --service NAME -- CMD.",
  "peer-certificate-untrusted":
    "Its certificate was signed by somebody else. That is what an attack looks like, and also a sidecar that still holds a certificate of an older root: restart that sidecar.",
  "peer-certificate-expired":
    "Look at the clock of the caller's machine, and whether its sidecar can renew: cardea svid show, cardea status.",
  "peer-identity-invalid":
    "The certificate names no SPIFFE ID, or more than one, or is no X.509-SVID in another way (X509-SVID section 4).",
  "peer-identity-mismatch":
    "At the address of the chosen workload somebody else answered. The address was given to another workload meanwhile, or somebody pretends; nothing was sent to it.",
  "token-missing":
    "A RequestAuthentication asks for an end user's token here, and the request brought none in the places that it names: docs/guides/end-user-authentication.md.",
  "token-invalid":
    "The detail says what is wrong with the token. If it ought to be good: do issuer and keys of the RequestAuthentication fit, could the control plane fetch the keys (its log, cardea status), and do the clocks agree?",
  "token-audience":
    "The token is good, and for somebody else: `audiences` of the RequestAuthentication names none of those that it is for.",
  "bad-request":
    "The request can be read in two ways or breaks HTTP (RFC 9112), and what two programs read differently is how requests are smuggled. Repair the client; nothing of it reached the app.",
  "head-too-large": "Send fewer or shorter headers, or a shorter address; the limits are in docs/reference/limits.md.",
  "version-not-supported": "Use HTTP/1.1.",
  "method-not-allowed": "CONNECT goes to a sidecar's outbound port, everything else to a service.",
  "expectation-failed": "Leave the Expect header out, or send 100-continue.",
  "request-timeout": "The client was too slow in sending its request's head.",
  "idle-timeout": "Nothing moved for longer than the limit; the client can connect again.",
  "upgrade-not-allowed": "Only upgrades to websocket are let through.",
  "loop-refused": "The request was aimed at a port of the mesh itself. Address the service by its name.",
  "no-route":
    "Nobody has registered this host. Mind the name (orders, orders.shop) and the port: cardea status lists the services. Hosts outside of the mesh are not let out (egress is REGISTRY_ONLY).",
  "no-healthy-upstream": "The service is known but no workload of it is there: is it running? cardea status.",
  "upstream-connect-failed":
    "Nobody answered at the workload's address: its sidecar or app is down, or refused our certificate. Its own record tells which: cardea flows --all --service NAME.",
  "upstream-connect-timeout": "Nothing answered at the workload's address: is it running? cardea status.",
  "upstream-reset": "The called app ended the connection before its answer was whole. Its own log tells why.",
  "upstream-cancelled": "The called app called the request off itself. Its own log tells why.",
  "upstream-protocol-error": "The called app's answer breaks HTTP or can be read in two ways, so it was not passed on.",
  "protocol-mismatch":
    "The service's port is declared to speak another protocol (`protocol` in the ServiceEntry) than what was sent to it.",
  "tunnel-refused": "Look for the called workload's own record: 401 is a denial, 404 a port that it does not declare.",
  "upstream-timeout": "The called app took longer than the limit.",
  "upstream-overflow":
    "The caller's DestinationRule allows no more at once (connectionPool). cardea_circuit_breaks_total tells which bound; raise it, or give the service more workloads.",
  "http2-protocol-error":
    "The caller's HTTP/2 is faulty (RFC 9113), or is no HTTP/2. A sidecar does not send such things: look for what else holds this identity.",
  "http2-flood":
    "Resets and empty frames in such numbers are an attack, or a client that has gone wrong. A sidecar does not send them: look for what else holds this identity.",
  "downstream-reset": "The caller went away before it had the whole answer.",
  "certificate-ended":
    "A connection lives no longer than the certificates that made it. The client can connect again; if it cannot, a sidecar fails to renew: cardea status.",
  overloaded: "A limit on connections or streams was reached (docs/reference/limits.md).",
  draining: "The sidecar was shutting down; the client can try again.",
  internal: "This is a fault of ours. Please report it with the sidecar's log.",
};

/** What the reasons mean that are no errors. */
const MEANINGS: Readonly<Record<Exclude<FlowReason, ErrorCode>, string>> = {
  "allow-rule-matched": "A rule of an ALLOW policy matched.",
  "break-glass":
    "Nothing else allows it: a rule of a break-glass policy matched, which is for an emergency and ends by itself.",
  "deny-rule-matched": "A rule of a DENY policy matched.",
  "custom-denied":
    "A rule of a CUSTOM policy matched, and the server that its provider names said no. Its own log tells why.",
  "custom-failed":
    "A rule of a CUSTOM policy matched, and its provider could not be asked, or gave no answer that can be followed. The detail says which.",
  "no-allow-rule-matched": "ALLOW policies select the workload and none of their rules matched.",
  "default-action": "No ALLOW policy selects the workload, so the mesh's defaultAction decided.",
  "route-answered": "A traffic rule (VirtualService, HTTPRoute) answered the request itself; nothing was forwarded.",
  "service-registered":
    "The caller's sidecar let it out, because the registry knows the service. Whether it may come in is the other side's decision.",
};

/** What happened: one sentence. */
export function meaningOf(reason: FlowReason): string {
  if (isErrorCode(reason)) return ERROR_TABLE[reason].meaning;
  return Object.hasOwn(MEANINGS, reason)
    ? MEANINGS[reason]
    : `The reason is ${reason}, which this version of the program does not know.`;
}

/** What to do about it; null when there is nothing to be done. */
export function adviceFor(reason: FlowReason): string | null {
  return isErrorCode(reason) ? (ADVICE[reason] ?? null) : null;
}

function isErrorCode(reason: string): reason is ErrorCode {
  return Object.hasOwn(ERROR_TABLE, reason);
}
