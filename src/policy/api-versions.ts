/** The versions of security.istio.io that are read; they mean the same. */
export const SECURITY_API_VERSIONS = ["security.istio.io/v1", "security.istio.io/v1beta1"] as const;
