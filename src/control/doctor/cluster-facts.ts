import { toCardeaError } from "../../core/errors.ts";
import { KUBE } from "../../core/kube-resources.ts";
import type { KubeApi, KubeObject, KubeResource, KubeSelection } from "../../core/kube.ts";
import { PART_OF } from "../install/names.ts";
import { ROOT_CONFIG_MAP } from "../kube/trust-bundle.ts";

/** What the checks look at; null: it could not be read, and `unread` says why. */
export interface ClusterFacts {
  /** Where the control plane is, or is to be. */
  readonly namespace: string;
  /** e.g. `v1.36.0`. */
  readonly version: string | null;
  /** API groups with their versions, as `apps/v1`. */
  readonly apis: ReadonlySet<string> | null;
  readonly namespaces: readonly KubeObject[] | null;
  readonly pods: readonly KubeObject[] | null;
  readonly mutatingWebhooks: readonly KubeObject[] | null;
  readonly validatingWebhooks: readonly KubeObject[] | null;
  /** Rules that the API server keeps by itself, of anybody; none where it is older than 1.30. */
  readonly admissionPolicies: readonly KubeObject[] | null;
  readonly admissionPolicyBindings: readonly KubeObject[] | null;
  /** Ours. */
  readonly deployments: readonly KubeObject[] | null;
  readonly configMaps: readonly KubeObject[] | null;
  readonly leases: readonly KubeObject[] | null;
  /** Roots, one ConfigMap for each namespace. */
  readonly roots: readonly KubeObject[] | null;
  readonly policies: readonly KubeObject[] | null;
  readonly peerAuthentications: readonly KubeObject[] | null;
  readonly unread: readonly string[];
}

/** Asks for everything once. Errors: `unreachable` when there is no API server. */
export async function readClusterFacts(kube: KubeApi, namespace: string): Promise<ClusterFacts> {
  const unread: string[] = [];
  async function attempt<T>(what: string, ask: () => Promise<T>, whenAbsent: T | null = null): Promise<T | null> {
    try {
      return await ask();
    } catch (thrown) {
      const { code, message } = toCardeaError(thrown);
      if (code === "unreachable") throw thrown;
      if (code === "kube-absent" && whenAbsent !== null) return whenAbsent;
      unread.push(`${what}: ${message}`);
      return null;
    }
  }
  const list = (resource: KubeResource, selection: KubeSelection = {}): Promise<readonly KubeObject[] | null> =>
    attempt(resource.plural, async () => (await kube.list(resource, selection)).items, []);
  const ours = { namespace, labelSelector: PART_OF_SELECTOR };
  // The first one alone: a cluster that is away is told once.
  const version = await attempt("version", async () => versionIn(await kube.text("/version")));
  const [apis, namespaces, pods, ...admission] = await Promise.all([
    attempt("APIs", async () => apisIn(await kube.text("/apis"))),
    list(KUBE.namespaces),
    list(KUBE.pods),
    list(KUBE.mutatingWebhooks),
    list(KUBE.validatingWebhooks),
    list(KUBE.admissionPolicies),
    list(KUBE.admissionPolicyBindings),
  ]);
  const [deployments, configMaps, leases, roots, policies, peerAuthentications] = await Promise.all([
    list(KUBE.deployments, ours),
    list(KUBE.configMaps, ours),
    list(KUBE.leases, { namespace }),
    list(KUBE.configMaps, { fieldSelector: `metadata.name=${ROOT_CONFIG_MAP}` }),
    list(KUBE.authorizationPolicies),
    list(KUBE.peerAuthentications),
  ]);
  const [mutatingWebhooks, validatingWebhooks, admissionPolicies, admissionPolicyBindings] = admission;
  const hooks = { mutatingWebhooks, validatingWebhooks, admissionPolicies, admissionPolicyBindings };
  return {
    namespace,
    version,
    apis,
    namespaces,
    pods,
    ...hooks,
    deployments,
    configMaps,
    leases,
    roots,
    policies,
    peerAuthentications,
    unread,
  };
}

const PART_OF_SELECTOR = Object.entries(PART_OF)
  .map(([key, label]) => `${key}=${label}`)
  .join(",");

function versionIn(text: string): string {
  return String((JSON.parse(text) as { readonly gitVersion?: unknown }).gitVersion);
}

interface Groups {
  readonly groups?: readonly { readonly versions?: readonly { readonly groupVersion?: string }[] }[];
}

function apisIn(text: string): ReadonlySet<string> {
  const { groups = [] } = JSON.parse(text) as Groups;
  return new Set(groups.flatMap(({ versions = [] }) => versions.flatMap(({ groupVersion }) => groupVersion ?? [])));
}
