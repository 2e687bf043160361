/** The paths of the methods that a sidecar calls: `/package.Service/Method`, as proto/ defines them. */
export const CREATE_CERTIFICATE = "/istio.v1.auth.IstioCertificateService/CreateCertificate";
export const DELTA_AGGREGATED_RESOURCES =
  "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
