/** Kinds of documents that say how a workload learns of its callers, and what it keeps of what it learned. */
export const AUTHENTICATION_KINDS = ["RequestAuthentication", "PeerAuthentication", "Telemetry"] as const;
export type AuthenticationKind = (typeof AUTHENTICATION_KINDS)[number];

export function isAuthenticationKind(kind: string | null): kind is AuthenticationKind {
  return AUTHENTICATION_KINDS.some((each) => each === kind);
}
