import { KUBE } from "../../core/kube-resources.ts";
import type { KubeApi, KubeObject } from "../../core/kube.ts";
import type { PublishedRoot, PublishedRoots } from "../ca/published-roots.ts";
import { record } from "./endpoint-facts.ts";
import { ROOT_BUNDLE, ROOT_CONFIG_KEY, ROOT_CONFIG_MAP } from "./trust-bundle.ts";

/**
 * Where workloads of the cluster find the root. Our own namespace and cluster-wide objects are the administrators'; the
 * other namespaces' ConfigMaps are within reach of their owners, and only tell that there was a mesh.
 */
export function publishedInCluster(kube: KubeApi, rootNamespace: string): PublishedRoots {
  return {
    root: `the root in the Secret ${rootNamespace}/cardea-ca`,
    way:
      "A replica that still runs puts a missing one back within seconds, and this one then starts by itself; else restore " +
      "the Secret from a backup, or, to begin with a new root, scale the control plane to none, remove the Secret, the " +
      `ConfigMaps ${ROOT_CONFIG_MAP} of all namespaces and the ClusterTrustBundle ${ROOT_BUNDLE}, and scale it up`,
    async read() {
      const fieldSelector = `metadata.name=${ROOT_CONFIG_MAP}`;
      const [maps, bundle] = await Promise.all([
        kube.list(KUBE.configMaps, { fieldSelector }),
        kube.get(KUBE.clusterTrustBundles, { name: ROOT_BUNDLE }),
      ]);
      return [
        ...maps.items.flatMap((map) => inConfigMap(map, rootNamespace)),
        ...rootIn(record(bundle?.["spec"])["trustBundle"], `ClusterTrustBundle ${ROOT_BUNDLE}`, true),
      ];
    },
  };
}

function inConfigMap(map: KubeObject, rootNamespace: string): readonly PublishedRoot[] {
  const { namespace = "", name } = map.metadata;
  return rootIn(record(map["data"])[ROOT_CONFIG_KEY], `ConfigMap ${namespace}/${name}`, namespace === rootNamespace);
}

function rootIn(pem: unknown, where: string, isBinding: boolean): readonly PublishedRoot[] {
  return typeof pem === "string" && pem !== "" ? [{ where, pem, isBinding }] : [];
}
