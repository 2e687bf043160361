/** The versions of networking.istio.io that are read; they mean the same. */
export const NETWORKING_API_VERSIONS = [
  "networking.istio.io/v1",
  "networking.istio.io/v1beta1",
  "networking.istio.io/v1alpha3",
] as const;

/** The versions of gateway.networking.k8s.io that HTTPRoute and GRPCRoute are read in. */
export const GATEWAY_API_VERSIONS = ["gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1beta1"] as const;
