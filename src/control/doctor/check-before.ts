import type { KubeApi, KubeResource } from "../../core/kube.ts";
import { apiVersionOf } from "../../core/kube.ts";
import { KUBE } from "../../core/kube-resources.ts";
import { toCardeaError } from "../../core/errors.ts";
import { record } from "../kube/endpoint-facts.ts";
import { isMeshNamespace } from "../kube/mesh-namespaces.ts";
import type { ClusterFacts } from "./cluster-facts.ts";
import { type Finding, reporter } from "./finding.ts";

/** Whether the mesh can be installed, and would work: all that can be known before there is one. */
export function checkBefore(facts: ClusterFacts): readonly Finding[] {
  return [...checkVersion(facts), ...checkApis(facts), ...checkMeshes(facts), ...checkPodSecurity(facts)];
}

/** Rules in CRDs (CEL) need 1.25; conditions of webhooks 1.28; native sidecars 1.29. */
const [OLDEST, CONDITIONS, NATIVE] = [25, 28, 29] as const;

function checkVersion({ version }: ClusterFacts): readonly Finding[] {
  const { ok, warning, error, unknown } = reporter("version");
  const minor = Number(/^v1\.(\d+)/.exec(version ?? "")?.[1]);
  if (version === null || Number.isNaN(minor)) return [unknown(`the server calls itself ${version ?? "nothing"}`)];
  if (minor < OLDEST) return [error(`Kubernetes ${version}`, { mend: `1.${OLDEST} is the oldest that can be used` })];
  if (minor < CONDITIONS)
    return [
      warning(`Kubernetes ${version}: webhooks are asked about more than they need to be`, {
        mend: `from 1.${CONDITIONS} on, an outage of ours holds up fewer updates`,
      }),
    ];
  if (minor < NATIVE)
    return [
      warning(`Kubernetes ${version}: sidecars are plain containers, and Jobs are refused`, {
        mend: `from 1.${NATIVE} on they are native`,
      }),
    ];
  return [ok(`Kubernetes ${version}`)];
}

const NEEDED = [
  "admissionregistration.k8s.io/v1",
  "apiextensions.k8s.io/v1",
  "apps/v1",
  "authentication.k8s.io/v1",
  "coordination.k8s.io/v1",
  "discovery.k8s.io/v1",
  "rbac.authorization.k8s.io/v1",
];

function checkApis({ apis }: ClusterFacts): readonly Finding[] {
  const { ok, error, unknown } = reporter("apis");
  if (apis === null) return [unknown("the server does not list its groups")];
  const missing = NEEDED.filter((each) => !apis.has(each));
  if (missing.length > 0) return [error(`missing: ${missing.join(", ")}`)];
  const policies = apis.has("security.istio.io/v1") ? "is there" : "comes with cardea install --crds all";
  return [ok(`all groups are there; AuthorizationPolicy ${policies}`)];
}

/** Names that the injectors of other meshes begin with, and the labels that namespaces ask them by. */
const OTHER_MESHES = [
  { mesh: "Istio", webhook: /^istio-(?:sidecar-injector|revision-tag)/, labels: ["istio-injection", "istio.io/rev"] },
  { mesh: "Linkerd", webhook: /^linkerd-proxy-injector/, labels: ["linkerd.io/inject"] },
  { mesh: "Consul", webhook: /^consul-connect-injector/, labels: ["connect-inject"] },
  { mesh: "Kuma", webhook: /^kuma-admission/, labels: ["kuma.io/sidecar-injection"] },
] as const;

function checkMeshes({ mutatingWebhooks, namespaces }: ClusterFacts): readonly Finding[] {
  const { ok, warning, error, unknown } = reporter("meshes");
  if (mutatingWebhooks === null) return [unknown("webhook configurations cannot be listed")];
  const present = OTHER_MESHES.filter(({ webhook }) =>
    mutatingWebhooks.some(({ metadata }) => webhook.test(metadata.name)),
  );
  const both = (namespaces ?? []).filter(isMeshNamespace).flatMap(({ metadata }) =>
    OTHER_MESHES.filter(({ labels }) => labels.some((each) => asksFor(metadata.labels?.[each]))).map(({ mesh }) =>
      error(`asks ${mesh} for sidecars, too`, {
        about: `namespace ${metadata.name}`,
        mend: "take one of the two labels off: a pod with two sidecars is refused",
      }),
    ),
  );
  const warnings = present.map(({ mesh }) =>
    warning(`${mesh} is in this cluster`, {
      mend: "namespaces may be in one mesh only; sidecars of the two do not call each other by their services' names",
    }),
  );
  return both.length + warnings.length === 0 ? [ok("no other mesh is in this cluster")] : [...both, ...warnings];
}

function asksFor(label: string | undefined): boolean {
  return label !== undefined && !["disabled", "false"].includes(label);
}

const LEVEL = "pod-security.kubernetes.io/enforce";

function checkPodSecurity({ namespaces }: ClusterFacts): readonly Finding[] {
  const { ok, error, unknown } = reporter("pod-security");
  if (namespaces === null) return [unknown("namespaces cannot be listed")];
  const meshed = namespaces.filter(isMeshNamespace);
  const strict = meshed.filter(({ metadata }) => ["baseline", "restricted"].includes(metadata.labels?.[LEVEL] ?? ""));
  if (strict.length === 0) return [ok(`${meshed.length} namespaces of the mesh, none of which forbids redirection`)];
  return strict.map(({ metadata }) =>
    error(`enforces ${metadata.labels![LEVEL]}, which refuses every pod with a sidecar`, {
      about: `namespace ${metadata.name}`,
      mend: `kubectl label namespace ${metadata.name} ${LEVEL}=privileged --overwrite`,
    }),
  );
}

/** What `cardea install | kubectl apply -f -` creates and patches. */
const INSTALLED: readonly KubeResource[] = [
  KUBE.namespaces,
  KUBE.customResourceDefinitions,
  KUBE.serviceAccounts,
  KUBE.clusterRoles,
  KUBE.clusterRoleBindings,
  KUBE.roles,
  KUBE.roleBindings,
  KUBE.configMaps,
  KUBE.deployments,
  KUBE.services,
  KUBE.mutatingWebhooks,
  KUBE.validatingWebhooks,
  KUBE.admissionPolicies,
  KUBE.admissionPolicyBindings,
];

/** Asks the server, as whoever runs this. Errors: `unreachable`. */
export async function checkPermissions(kube: Pick<KubeApi, "create">, namespace: string): Promise<readonly Finding[]> {
  const { ok, error, unknown } = reporter("permissions");
  const asked = INSTALLED.flatMap((resource) => ["create", "patch"].map((verb) => ({ resource, verb })));
  try {
    const answers = await Promise.all(asked.map((each) => isAllowed(kube, each, namespace)));
    const denied = asked.filter((_, index) => !answers[index]);
    if (denied.length === 0) return [ok("you may create and change all that is installed")];
    const names = denied.map(({ resource, verb }) => `${verb} ${resource.plural}`);
    return [error(`you may not ${names.join(", ")}`, { mend: "somebody who administers the cluster installs it" })];
  } catch (thrown) {
    const failure = toCardeaError(thrown);
    if (failure.code === "unreachable") throw failure;
    return [unknown(`the server does not say: ${failure.message}`)];
  }
}

async function isAllowed(
  kube: Pick<KubeApi, "create">,
  { resource, verb }: { readonly resource: KubeResource; readonly verb: string },
  namespace: string,
): Promise<boolean> {
  const where = resource.isNamespaced ? { namespace } : {};
  const resourceAttributes = { group: resource.group, resource: resource.plural, verb, ...where };
  const answer = await kube.create(KUBE.selfSubjectAccessReviews, {
    apiVersion: apiVersionOf(KUBE.selfSubjectAccessReviews),
    metadata: {},
    spec: { resourceAttributes },
  });
  return record(answer["status"])["allowed"] === true;
}
