import { toCardeaError } from "../../core/errors.ts";
import { KUBE } from "../../core/kube-resources.ts";
import type { KubeApi } from "../../core/kube.ts";
import type { Clock, Logger, Random, Timer } from "../../core/ports.ts";
import { createSerialRun } from "../distribute/serial-run.ts";
import { record } from "./endpoint-facts.ts";
import { openInformer } from "./informer.ts";
import { isSystemNamespace } from "./mesh-namespaces.ts";

export interface TrustBundleOptions {
  readonly kube: KubeApi;
  /** The public roots. */
  readonly rootPem: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

export const ROOT_CONFIG_MAP = "cardea-root-cert";
export const ROOT_CONFIG_KEY = "root-cert.pem";
const CLUSTER_BUNDLE = "cardea-root-cert";
const FIELD_MANAGER = "cardea-control";
/** What did not work is tried again after this. */
const RETRY_MS = 5_000;
/** Namespaces that are written at a time. */
const AT_ONCE = 8;

/**
 * Keeps the roots in a ConfigMap of each namespace, where pods find them before they know anybody to ask, and in a
 * ClusterTrustBundle where the API has that. What others change or remove is put back. One replica does this.
 */
export function publishTrustBundle(options: TrustBundleOptions): { close(): void } {
  const { kube, rootPem, clock, logger } = options;
  let timer: Timer | null = null;
  let isClosed = false;
  let isBundleDone = false;
  const runs = createSerialRun(reconcile);
  const onSettled = (): void => void runs.request();
  const namespaces = openInformer({ ...options, api: kube, resource: KUBE.namespaces, onSettled });
  const selection = { fieldSelector: `metadata.name=${ROOT_CONFIG_MAP}` };
  const configMaps = openInformer({ ...options, api: kube, resource: KUBE.configMaps, selection, onSettled });

  async function reconcile(): Promise<void> {
    await Promise.all([namespaces.synced, configMaps.synced]);
    const stale = [...namespaces.objects.values()]
      .filter(({ metadata }) => metadata.deletionTimestamp === undefined && !isSystemNamespace(metadata.name))
      .map(({ metadata }) => metadata.name)
      .filter((name) => !isInPlace(name));
    for (let from = 0; from < stale.length; from += AT_ONCE)
      await Promise.all(stale.slice(from, from + AT_ONCE).map((name) => attempt(name, () => putConfigMap(name))));
    if (!isBundleDone && !isClosed) await attempt(CLUSTER_BUNDLE, putClusterBundle);
  }

  function isInPlace(namespace: string): boolean {
    const found = configMaps.objects.get(`${namespace}/${ROOT_CONFIG_MAP}`);
    return found !== undefined && record(found["data"])[ROOT_CONFIG_KEY] === rootPem;
  }

  async function putConfigMap(namespace: string): Promise<void> {
    if (isClosed) return;
    const metadata = { namespace, name: ROOT_CONFIG_MAP, labels: { "app.kubernetes.io/part-of": "cardea" } };
    const body = { apiVersion: "v1", kind: "ConfigMap", metadata, data: { [ROOT_CONFIG_KEY]: rootPem } };
    const patch = { type: "apply", body, fieldManager: FIELD_MANAGER, force: true } as const;
    await kube.patch(KUBE.configMaps, { namespace, name: ROOT_CONFIG_MAP }, patch);
  }

  async function putClusterBundle(): Promise<void> {
    const metadata = { name: CLUSTER_BUNDLE };
    const spec = { trustBundle: rootPem };
    const body = { apiVersion: "certificates.k8s.io/v1beta1", kind: "ClusterTrustBundle", metadata, spec };
    const patch = { type: "apply", body, fieldManager: FIELD_MANAGER, force: true } as const;
    await kube.patch(KUBE.clusterTrustBundles, { name: CLUSTER_BUNDLE }, patch);
    isBundleDone = true;
  }

  async function attempt(what: string, act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (thrown) {
      const error = toCardeaError(thrown);
      // A namespace that is going, and an API without ClusterTrustBundles, need nothing.
      if (error.code === "kube-absent") {
        if (what === CLUSTER_BUNDLE) isBundleDone = true;
        return;
      }
      if (isClosed) return;
      logger.log("warn", "roots-not-published", { namespace: what, error: error.message });
      timer ??= clock.setTimer(RETRY_MS, () => {
        timer = null;
        void runs.request();
      });
    }
  }

  return {
    close() {
      isClosed = true;
      timer?.cancel();
      namespaces.close();
      configMaps.close();
    },
  };
}
