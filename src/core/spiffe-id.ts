import { CardeaError } from "./errors.ts";

declare const brand: unique symbol;

/**
 * A SPIFFE ID as its normal string, e.g. `spiffe://cluster.local/ns/shop/sa/web`.
 * Made by `parseSpiffeId` alone. SPIFFE-ID section 2.
 */
export type SpiffeId = string & { readonly [brand]: "SpiffeId" };

/** A trust domain name, e.g. `cluster.local`. SPIFFE-ID section 2.1. */
export type TrustDomain = string & { readonly [brand]: "TrustDomain" };

const SCHEME = "spiffe://";
/** SPIFFE-ID section 2.3: implementations must support 2,048 bytes and should refuse more. */
const ID_BYTES_MAX = 2048;
const TRUST_DOMAIN_BYTES_MAX = 255;

/** Text → SpiffeId. Errors: `spiffe-id-invalid`. The scheme and trust domain must already be in lower case. */
export function parseSpiffeId(text: string): SpiffeId {
  if (Buffer.byteLength(text) > ID_BYTES_MAX) throw invalid(text, `is longer than ${ID_BYTES_MAX} bytes`);
  if (!text.startsWith(SCHEME)) throw invalid(text, "does not begin with spiffe://");
  const rest = text.slice(SCHEME.length);
  const slash = rest.indexOf("/");
  parseTrustDomain(slash < 0 ? rest : rest.slice(0, slash));
  if (slash >= 0) assertPath(text, rest.slice(slash));
  return text as SpiffeId;
}

/** Text → TrustDomain. Errors: `spiffe-id-invalid`. */
export function parseTrustDomain(text: string): TrustDomain {
  if (text === "") throw invalid(text, "has an empty trust domain");
  if (text.length > TRUST_DOMAIN_BYTES_MAX) throw invalid(text, "has a trust domain of more than 255 bytes");
  if (!/^[a-z0-9._-]+$/.test(text)) throw invalid(text, "has a trust domain with characters other than a-z 0-9 . - _");
  return text as TrustDomain;
}

export function trustDomainOf(id: SpiffeId): TrustDomain {
  const end = id.indexOf("/", SCHEME.length);
  return (end < 0 ? id.slice(SCHEME.length) : id.slice(SCHEME.length, end)) as TrustDomain;
}

/** The workload's namespace and service account, or null when the path is not `/ns/<ns>/sa/<sa>`. */
export function workloadNameOf(id: SpiffeId): { readonly namespace: string; readonly serviceAccount: string } | null {
  const match = /^\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(id.slice(SCHEME.length + trustDomainOf(id).length));
  return match === null ? null : { namespace: match[1]!, serviceAccount: match[2]! };
}

/** The identity of a workload, in Istio's shape. Errors: `spiffe-id-invalid`. */
export function spiffeIdFor(trustDomain: string, namespace: string, serviceAccount: string): SpiffeId {
  return parseSpiffeId(`${SCHEME}${trustDomain}/ns/${namespace}/sa/${serviceAccount}`);
}

function assertPath(text: string, path: string): void {
  for (const segment of path.slice(1).split("/")) {
    if (segment === "") throw invalid(text, "has an empty path segment or a trailing slash");
    if (segment === "." || segment === "..") throw invalid(text, "has a relative path segment");
    if (!/^[a-zA-Z0-9._-]+$/.test(segment))
      throw invalid(text, "has a path with characters other than a-z A-Z 0-9 . - _");
  }
}

function invalid(text: string, why: string): CardeaError {
  return new CardeaError("spiffe-id-invalid", `${JSON.stringify(text.slice(0, 80))} ${why}`);
}
