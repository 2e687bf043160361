import { toCardeaError } from "../../core/errors.ts";
import { KUBE } from "../../core/kube-resources.ts";
import type { KubeApi, KubeName, KubeObject, KubeResource } from "../../core/kube.ts";
import type { Clock, Logger, Random, Timer } from "../../core/ports.ts";
import { createSerialRun } from "../distribute/serial-run.ts";
import { record } from "./endpoint-facts.ts";
import { openInformer } from "./informer.ts";
import { isSystemNamespace } from "./mesh-namespaces.ts";

export interface TrustBundleOptions {
  readonly kube: KubeApi;
  /** The public roots. */
  readonly rootPem: string;
  /** Asked before each write: whether this replica is still the one that writes. */
  mayWrite(): boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

export const ROOT_CONFIG_MAP = "cardea-root-cert";
export const ROOT_CONFIG_KEY = "root-cert.pem";
export const ROOT_BUNDLE = "cardea-root-cert";
/** What did not work is tried again after this. */
const RETRY_MS = 5_000;
/** ClusterTrustBundles are looked at this often; one object needs no watch. */
const LOOK_MS = 60_000;
/** Namespaces that are written at a time. */
const AT_ONCE = 8;

const LABELS = { "app.kubernetes.io/part-of": "cardea" };

interface Put {
  /** As it was seen; null: it was not there. */
  readonly found: KubeObject | null;
  readonly metadata: KubeName & { readonly labels?: Readonly<Record<string, string>> };
  readonly content: object;
}

/**
 * Keeps the roots in a ConfigMap of each namespace, where pods find them before they know anybody to ask, and in a
 * ClusterTrustBundle where the API has that. What others change or remove is put back. One replica does this.
 */
export function publishTrustBundle(options: TrustBundleOptions): { close(): void } {
  const { kube, rootPem, clock, logger } = options;
  let timer: Timer | null = null;
  let dueAtMs = 0;
  let isClosed = false;
  const mayWrite = (): boolean => !isClosed && options.mayWrite();
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
    if (!isClosed) await attempt(ROOT_BUNDLE, putClusterBundle);
    again(LOOK_MS);
  }

  function isInPlace(namespace: string): boolean {
    const found = configMaps.objects.get(`${namespace}/${ROOT_CONFIG_MAP}`);
    return found !== undefined && record(found["data"])[ROOT_CONFIG_KEY] === rootPem;
  }

  async function putConfigMap(namespace: string): Promise<void> {
    const metadata = { namespace, name: ROOT_CONFIG_MAP, labels: LABELS };
    const found = configMaps.objects.get(`${namespace}/${ROOT_CONFIG_MAP}`) ?? null;
    await put(KUBE.configMaps, { found, metadata, content: { data: { [ROOT_CONFIG_KEY]: rootPem } } });
  }

  async function putClusterBundle(): Promise<void> {
    const metadata = { name: ROOT_BUNDLE };
    const found = await kube.get(KUBE.clusterTrustBundles, metadata);
    if (found !== null && record(found["spec"])["trustBundle"] === rootPem) return;
    await put(KUBE.clusterTrustBundles, { found, metadata, content: { spec: { trustBundle: rootPem } } });
  }

  /** Under the version that was seen: a replica that has lost the lease since then cannot undo what its successor wrote. */
  async function put(resource: KubeResource, { found, metadata, content }: Put): Promise<void> {
    if (!mayWrite()) {
      again(RETRY_MS);
      return;
    }
    if (found === null) {
      await kube.create(resource, { metadata, ...content });
      return;
    }
    const { resourceVersion } = found.metadata;
    await kube.patch(resource, metadata, { type: "merge", body: { metadata: { resourceVersion }, ...content } });
  }

  async function attempt(what: string, act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (thrown) {
      const error = toCardeaError(thrown);
      // A namespace that is going, and an API without ClusterTrustBundles, need nothing.
      if (error.code === "kube-absent" || isClosed) return;
      // Somebody else has written meanwhile: what the watch tells next decides.
      if (error.code !== "kube-conflict")
        logger.log("warn", "roots-not-published", { namespace: what, error: error.message });
      again(RETRY_MS);
    }
  }

  /** The soonest of what was asked for. */
  function again(inMs: number): void {
    if (isClosed) return;
    const atMs = clock.monotonicMs() + inMs;
    if (timer !== null && dueAtMs <= atMs) return;
    timer?.cancel();
    dueAtMs = atMs;
    timer = clock.setTimer(inMs, () => {
      timer = null;
      void runs.request();
    });
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
