import { toCardeaError } from "../../core/errors.ts";
import { type KubeApi, type KubeObject, keyOf, kubePath } from "../../core/kube.ts";
import { KUBE } from "../../core/kube-resources.ts";
import { POD_PORTS } from "../../core/pod-ports.ts";
import { CONTROL_PORTS } from "../install/names.ts";
import { sidecarOf } from "../install/sidecar-pods.ts";

/** A replica of the control plane, by its metrics. */
export interface ReplicaStatus {
  readonly pod: string;
  readonly leads: boolean;
  /** Sidecars that are connected to it. */
  readonly connected: number;
  /** The policy set that it gives to sidecars. */
  readonly revision: string | null;
  /** Faults for which the policies as they are now are not in force. */
  readonly policyFaults: number;
  /** What is wrong around it, by the names of the metric `cardea_cluster_faults`; its log says what to do. */
  readonly clusterFaults: readonly string[];
  /** Why it could not be asked; null: it was. */
  readonly error: string | null;
}

/** A pod's sidecar, by its metrics. */
export interface SidecarReport {
  readonly pod: string;
  /** The policy set that it has in force. */
  readonly revision: string | null;
  readonly certificateLeftSec: number | null;
  readonly error: string | null;
}

export interface MeshStatus {
  readonly inSync: boolean;
  /** The revision that all replicas give; null: none, or not all the same. */
  readonly revision: string | null;
  readonly replicas: readonly ReplicaStatus[];
  readonly sidecars: readonly SidecarReport[];
  /** What is wrong, one line each. */
  readonly problems: readonly string[];
}

/**
 * Asks replicas and sidecars for their metrics by way of the API server, which reaches pods where we do not: whoever asks
 * needs the right to get `pods/proxy`. Errors: those of KubeApi, but for single pods.
 */
export async function readMeshStatus(kube: Pick<KubeApi, "list" | "text">, namespace: string): Promise<MeshStatus> {
  const { items } = await kube.list(KUBE.pods);
  const running = items.filter(isRunning);
  const control = running.filter(({ metadata }) => metadata.namespace === namespace && isControl(metadata.labels));
  const meshed = running.filter((pod) => sidecarOf(pod) !== null);
  const replicas = await inBatches(control, (pod) => readReplica(kube, pod));
  const sidecars = await inBatches(meshed, (pod) => readSidecar(kube, pod));
  const revisions = new Set(replicas.filter(({ error }) => error === null).map(({ revision }) => revision));
  const [only = null] = revisions;
  const revision = revisions.size === 1 ? only : null;
  const problems = [...problemsOf(replicas, revisions.size), ...sidecars.flatMap((each) => problemOf(each, revision))];
  return { inSync: problems.length === 0, revision, replicas, sidecars, problems };
}

function problemsOf(replicas: readonly ReplicaStatus[], revisions: number): readonly string[] {
  if (replicas.length === 0) return ["no replica of the control plane runs"];
  return [
    ...replicas.flatMap(({ pod, error, policyFaults, clusterFaults }) => {
      if (error !== null) return [`${pod}: ${error}`];
      const many = `${policyFaults} faults in policies: they stay as they were (kubectl get events -A, or its log)`;
      const around = clusterFaults.map((fault) => `${pod}: ${fault} (its log says what to do)`);
      return policyFaults > 0 ? [`${pod}: ${many}`, ...around] : around;
    }),
    ...(revisions > 1 ? ["the replicas give different policies: some have not seen the last change yet"] : []),
  ];
}

function problemOf(
  { pod, error, revision, certificateLeftSec }: SidecarReport,
  wanted: string | null,
): readonly string[] {
  if (error !== null) return [`${pod}: ${error}`];
  if (wanted !== null && revision !== wanted)
    return [`${pod}: policy ${revision ?? "none"} is in force, not ${wanted}`];
  if (certificateLeftSec === null || certificateLeftSec <= 0) return [`${pod}: has no certificate that holds`];
  return [];
}

async function readReplica(kube: Pick<KubeApi, "text">, pod: KubeObject): Promise<ReplicaStatus> {
  const { metrics, error } = await readMetrics(kube, pod, CONTROL_PORTS.metrics);
  return {
    pod: keyOf(pod),
    leads: metrics.value("cardea_leader") === 1,
    connected: metrics.value("pilot_xds") ?? 0,
    revision: metrics.label("cardea_policy_revision_info", "revision"),
    policyFaults: metrics.value("cardea_policy_faults") ?? 0,
    clusterFaults: metrics.labels("cardea_cluster_faults", "fault"),
    error,
  };
}

async function readSidecar(kube: Pick<KubeApi, "text">, pod: KubeObject): Promise<SidecarReport> {
  const { metrics, error } = await readMetrics(kube, pod, POD_PORTS.metrics);
  return {
    pod: keyOf(pod),
    revision: metrics.label("cardea_policy_revision_info", "revision"),
    certificateLeftSec: metrics.value("cardea_certificate_expiry_seconds"),
    error,
  };
}

interface Metrics {
  /** Of the first series of that name. */
  value(name: string): number | null;
  label(name: string, label: string): string | null;
  /** Of each series of that name that is not 0. */
  labels(name: string, label: string): readonly string[];
}

async function readMetrics(
  kube: Pick<KubeApi, "text">,
  { metadata }: KubeObject,
  port: number,
): Promise<{ readonly metrics: Metrics; readonly error: string | null }> {
  const at = { namespace: metadata.namespace ?? "", name: `${metadata.name}:${port}`, subresource: "proxy/metrics" };
  try {
    return { metrics: metricsIn(await kube.text(kubePath(KUBE.pods, at))), error: null };
  } catch (thrown) {
    return { metrics: metricsIn(""), error: toCardeaError(thrown).message };
  }
}

function metricsIn(text: string): Metrics {
  const lines = text.split("\n");
  const find = (name: string): string | null =>
    lines.find((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`)) ?? null;
  return {
    value(name) {
      const found = Number(find(name)?.split(" ").at(-1));
      return Number.isNaN(found) ? null : found;
    },
    label: (name, label) => labelIn(find(name) ?? "", label),
    labels: (name, label) =>
      lines.flatMap((line) =>
        line.startsWith(`${name}{`) && !line.endsWith(" 0") ? (labelIn(line, label) ?? []) : [],
      ),
  };
}

function labelIn(line: string, label: string): string | null {
  return new RegExp(`[{,]${label}="([^"]*)"`).exec(line)?.[1] ?? null;
}

/** Pods that are asked at a time. */
const AT_ONCE = 16;

async function inBatches<T>(pods: readonly KubeObject[], ask: (pod: KubeObject) => Promise<T>): Promise<readonly T[]> {
  const answers: T[] = [];
  for (let from = 0; from < pods.length; from += AT_ONCE)
    answers.push(...(await Promise.all(pods.slice(from, from + AT_ONCE).map((pod) => ask(pod)))));
  return answers;
}

function isControl(labels: Readonly<Record<string, string>> = {}): boolean {
  return labels["app.kubernetes.io/name"] === "cardea" && labels["app.kubernetes.io/component"] === "control";
}

function isRunning(pod: KubeObject): boolean {
  const { phase } = (pod["status"] ?? {}) as { readonly phase?: unknown };
  return phase === "Running" && pod.metadata.deletionTimestamp === undefined;
}
