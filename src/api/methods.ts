/** The paths of the methods that a sidecar calls: `/package.Service/Method`, as proto/ defines them. */
export const CREATE_CERTIFICATE = "/istio.v1.auth.IstioCertificateService/CreateCertificate";
export const DELTA_AGGREGATED_RESOURCES =
  "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
export const NEW_JWT_SVID = "/spire.api.server.svid.v1.SVID/NewJWTSVID";
export const GET_BUNDLE = "/spire.api.server.bundle.v1.Bundle/GetBundle";

/** The methods of the identity socket. */
export const WORKLOAD_API = {
  fetchX509Svid: "/SpiffeWorkloadAPI/FetchX509SVID",
  fetchX509Bundles: "/SpiffeWorkloadAPI/FetchX509Bundles",
  fetchJwtSvid: "/SpiffeWorkloadAPI/FetchJWTSVID",
  fetchJwtBundles: "/SpiffeWorkloadAPI/FetchJWTBundles",
  validateJwtSvid: "/SpiffeWorkloadAPI/ValidateJWTSVID",
} as const;
export const SECRET_DISCOVERY = {
  delta: "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets",
  stream: "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets",
  fetch: "/envoy.service.secret.v3.SecretDiscoveryService/FetchSecrets",
} as const;
