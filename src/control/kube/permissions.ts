import { KUBE } from "../../core/kube-resources.ts";
import type { KubeResource } from "../../core/kube.ts";
import { webhookNames } from "../admission/webhook-configuration.ts";
import { controlName } from "./control-name.ts";

/** Something that the control plane asks of the API server, and what for. */
export interface Permission {
  readonly resource: Pick<KubeResource, "group" | "plural">;
  readonly verbs: readonly string[];
  /** In the whole cluster, or in our own namespace alone. */
  readonly scope: "cluster" | "own-namespace";
  /** Objects of these names alone; Kubernetes cannot hold creation and lists to names. */
  readonly names?: readonly string[];
  readonly why: string;
}

const FOLLOW = ["get", "list", "watch"];

/**
 * All that `cardea control` may do, of the revisions that it serves: its own, and perhaps null, the one without a name.
 * ClusterRole and Role are rendered from here; the end-to-end tests run under them.
 */
export function permissionsOf(revisions: readonly (string | null)[]): readonly Permission[] {
  const webhooks = revisions.map(webhookNames);
  const injectors = webhooks.map(({ injector }) => injector);
  const validators = webhooks.map(({ validator }) => validator);
  const lease = controlName(revisions[0] ?? null);
  return [...SAME_FOR_ALL, ...namedPermissions({ injectors, validators, lease })];
}

const SAME_FOR_ALL: readonly Permission[] = [
  permission(KUBE.services, FOLLOW, "cluster", "services of the registry"),
  permission(KUBE.endpointSlices, FOLLOW, "cluster", "which pods serve a service, and on which ports"),
  permission(KUBE.pods, FOLLOW, "cluster", "workloads of the registry, attestation, the sweep"),
  permission(KUBE.namespaces, FOLLOW, "cluster", "which namespaces are of the mesh"),
  permission(KUBE.authorizationPolicies, FOLLOW, "cluster", "policies"),
  permission(KUBE.requestAuthentications, FOLLOW, "cluster", "which tokens of end users are known"),
  permission(KUBE.peerAuthentications, FOLLOW, "cluster", "which ports take plaintext"),
  permission(KUBE.telemetries, FOLLOW, "cluster", "whose records are kept"),
  permission(KUBE.destinationRules, FOLLOW, "cluster", "traffic rules"),
  permission(KUBE.virtualServices, FOLLOW, "cluster", "traffic rules"),
  permission(KUBE.sidecars, FOLLOW, "cluster", "which services sidecars are told of"),
  permission(KUBE.httpRoutes, FOLLOW, "cluster", "traffic rules"),
  permission(KUBE.grpcRoutes, FOLLOW, "cluster", "traffic rules"),
  permission(KUBE.tokenReviews, ["create"], "cluster", "who a sidecar is that joins"),
  permission(KUBE.configMaps, ["list", "watch"], "cluster", "whether the roots are where they should be"),
  permission(KUBE.configMaps, ["create"], "cluster", "the roots in each namespace"),
  permission(KUBE.configMaps, ["get", "patch"], "cluster", "the roots in each namespace", ["cardea-root-cert"]),
  permission(KUBE.clusterTrustBundles, ["create"], "cluster", "the roots, where the API has such bundles"),
  permission(KUBE.clusterTrustBundles, ["get", "patch"], "cluster", "the same", ["cardea-root-cert"]),
  permission(KUBE.events, ["create"], "cluster", "faults of policies, told at the policies themselves"),
  permission(KUBE.secrets, ["create"], "own-namespace", "keys of the authority"),
  permission(KUBE.secrets, ["get", "update"], "own-namespace", "keys of the authority", ["cardea-ca"]),
  permission(KUBE.leases, ["create"], "own-namespace", "leader election"),
];

interface Names {
  readonly injectors: readonly string[];
  readonly validators: readonly string[];
  readonly lease: string;
}

function namedPermissions({ injectors, validators, lease }: Names): readonly Permission[] {
  return [
    permission(KUBE.mutatingWebhooks, ["get", "patch"], "cluster", "our roots in our webhooks", injectors),
    permission(KUBE.validatingWebhooks, ["get", "patch"], "cluster", "the same", validators),
    permission(KUBE.leases, ["get", "update"], "own-namespace", "leader election", [lease]),
  ];
}

/** Of the installation without a revision. */
export const PERMISSIONS: readonly Permission[] = permissionsOf([null]);

/** The rules of a ClusterRole (scope cluster) or Role (own-namespace), as rbac.authorization.k8s.io/v1 has them. */
export function policyRules(scope: Permission["scope"], permissions = PERMISSIONS): readonly object[] {
  return permissions
    .filter((each) => each.scope === scope)
    .map(({ resource, verbs, names }) => ({
      apiGroups: [resource.group],
      resources: [resource.plural],
      verbs,
      ...(names === undefined ? {} : { resourceNames: names }),
    }));
}

// oxlint-disable-next-line eslint/max-params
function permission(
  resource: KubeResource,
  verbs: readonly string[],
  scope: Permission["scope"],
  why: string,
  names?: readonly string[],
): Permission {
  return { resource, verbs, scope, why, ...(names === undefined ? {} : { names }) };
}
