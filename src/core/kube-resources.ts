import type { KubeResource } from "./kube.ts";

/** Every kind of the Kubernetes API that this program reads or writes. */
export const KUBE = {
  namespaces: resource("", "v1", "namespaces", "Namespace", false),
  services: resource("", "v1", "services", "Service"),
  pods: resource("", "v1", "pods", "Pod"),
  nodes: resource("", "v1", "nodes", "Node", false),
  serviceAccounts: resource("", "v1", "serviceaccounts", "ServiceAccount"),
  secrets: resource("", "v1", "secrets", "Secret"),
  configMaps: resource("", "v1", "configmaps", "ConfigMap"),
  events: resource("events.k8s.io", "v1", "events", "Event"),
  endpointSlices: resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice"),
  leases: resource("coordination.k8s.io", "v1", "leases", "Lease"),
  tokenReviews: resource("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", false),
  clusterTrustBundles: resource("certificates.k8s.io", "v1beta1", "clustertrustbundles", "ClusterTrustBundle", false),
  mutatingWebhooks: resource(
    "admissionregistration.k8s.io",
    "v1",
    "mutatingwebhookconfigurations",
    "MutatingWebhookConfiguration",
    false,
  ),
  validatingWebhooks: resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingwebhookconfigurations",
    "ValidatingWebhookConfiguration",
    false,
  ),
  admissionPolicies: resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingadmissionpolicies",
    "ValidatingAdmissionPolicy",
    false,
  ),
  admissionPolicyBindings: resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingadmissionpolicybindings",
    "ValidatingAdmissionPolicyBinding",
    false,
  ),
  authorizationPolicies: resource("security.istio.io", "v1", "authorizationpolicies", "AuthorizationPolicy"),
  requestAuthentications: resource("security.istio.io", "v1", "requestauthentications", "RequestAuthentication"),
  peerAuthentications: resource("security.istio.io", "v1", "peerauthentications", "PeerAuthentication"),
  telemetries: resource("telemetry.istio.io", "v1", "telemetries", "Telemetry"),
  destinationRules: resource("networking.istio.io", "v1", "destinationrules", "DestinationRule"),
  virtualServices: resource("networking.istio.io", "v1", "virtualservices", "VirtualService"),
  sidecars: resource("networking.istio.io", "v1", "sidecars", "Sidecar"),
  httpRoutes: resource("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute"),
  grpcRoutes: resource("gateway.networking.k8s.io", "v1", "grpcroutes", "GRPCRoute"),
  meshes: resource("cardea.dev", "v1", "meshes", "Mesh"),
  customResourceDefinitions: resource(
    "apiextensions.k8s.io",
    "v1",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    false,
  ),
  deployments: resource("apps", "v1", "deployments", "Deployment"),
  podDisruptionBudgets: resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget"),
  networkPolicies: resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy"),
  podMonitors: resource("monitoring.coreos.com", "v1", "podmonitors", "PodMonitor"),
  prometheusRules: resource("monitoring.coreos.com", "v1", "prometheusrules", "PrometheusRule"),
  priorityClasses: resource("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", false),
  clusterRoles: resource("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", false),
  clusterRoleBindings: resource("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", false),
  roles: resource("rbac.authorization.k8s.io", "v1", "roles", "Role"),
  roleBindings: resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding"),
  selfSubjectAccessReviews: resource(
    "authorization.k8s.io",
    "v1",
    "selfsubjectaccessreviews",
    "SelfSubjectAccessReview",
    false,
  ),
} as const satisfies Record<string, KubeResource>;

// oxlint-disable-next-line eslint/max-params
function resource(group: string, version: string, plural: string, kind: string, isNamespaced = true): KubeResource {
  return { group, version, plural, kind, isNamespaced };
}
