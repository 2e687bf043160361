/** Whom a sidecar vouches for towards its app: what it verified in the peer's handshake. */
export interface ClientCertificate {
  /** Our own identity, the one that the peer reached. */
  readonly by: string;
  /** SHA-256 of the peer's leaf certificate in DER, lower-case hexadecimal. */
  readonly hash: string;
  /** The peer's SPIFFE ID. */
  readonly uri: string;
}

/**
 * The value of `x-forwarded-client-cert`, in Envoy's form: one element, never appended to what came from outside.
 * SPIFFE IDs and hexadecimal digits hold none of `,;="`, so nothing needs quotes.
 */
export function formatXfcc(certificate: ClientCertificate): string {
  return `By=${certificate.by};Hash=${certificate.hash};URI=${certificate.uri}`;
}
