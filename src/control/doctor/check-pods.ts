import { type KubeObject, keyOf } from "../../core/kube.ts";
import { type SidecarFacts, sidecarOf } from "../install/sidecar-pods.ts";
import { CONTAINERS } from "../inject/names.ts";
import { record } from "../kube/endpoint-facts.ts";
import { wantsSidecar } from "../kube/mesh-namespaces.ts";
import { imagesOf, revisionsOf } from "./check-after.ts";
import type { ClusterFacts } from "./cluster-facts.ts";
import { checkPlaintext } from "./check-plaintext.ts";
import { type Finding, reporter } from "./finding.ts";
import { controlName } from "../kube/control-name.ts";

/** Pods that are named of each kind of finding; all are counted. */
const NAMED_MAX = 20;

/** Whether what should be in the mesh is in it, as it should be. */
export function checkPods(facts: ClusterFacts): readonly Finding[] {
  if (facts.pods === null || facts.namespaces === null) return [reporter("sidecars").unknown("pods cannot be listed")];
  const namespaces = new Map(facts.namespaces.map((each) => [each.metadata.name, each]));
  const pods = facts.pods.filter((pod) => !isOver(pod)).map((pod) => ({ pod, sidecar: sidecarOf(pod) }));
  const bare = pods.filter(({ sidecar }) => sidecar === null).map(({ pod }) => pod);
  return [
    ...checkMeshless(bare, namespaces, facts.namespace),
    ...checkUnguarded(bare, facts),
    ...checkPlaintext(bare, namespaces, facts),
    ...checkSidecars(pods, facts),
  ];
}

function checkMeshless(
  bare: readonly KubeObject[],
  namespaces: ReadonlyMap<string, KubeObject>,
  own: string,
): readonly Finding[] {
  const { ok, error } = reporter("meshless");
  const missing = bare.filter((pod) => {
    const { namespace = "", labels = {}, annotations = {} } = pod.metadata;
    const of = namespaces.get(namespace);
    if (of === undefined || namespace === own || record(pod["spec"])["hostNetwork"] === true) return false;
    return wantsSidecar({ labels, annotations }, of);
  });
  if (missing.length === 0) return [ok("every pod that should have a sidecar has one")];
  return missing.slice(0, NAMED_MAX).map((pod) =>
    error(
      `has no sidecar, and should: it began before the mesh, or while the webhook was away (${missing.length} in all)`,
      {
        about: `pod ${keyOf(pod)}`,
        mend: `kubectl delete pod -n ${pod.metadata.namespace} ${pod.metadata.name}`,
      },
    ),
  );
}

/** A policy holds where a sidecar enforces it, and nowhere else. */
function checkUnguarded(bare: readonly KubeObject[], { policies, namespace }: ClusterFacts): readonly Finding[] {
  const { ok, warning } = reporter("unguarded");
  const found = (policies ?? []).flatMap((policy) => {
    const labels = record(record(record(policy["spec"])["selector"])["matchLabels"]);
    if (Object.keys(labels).length === 0) return [];
    const ofAll = policy.metadata.namespace === namespace;
    const pods = bare.filter(
      (pod) =>
        (ofAll || pod.metadata.namespace === policy.metadata.namespace) &&
        Object.entries(labels).every(([key, label]) => pod.metadata.labels?.[key] === label),
    );
    return pods.map((pod) =>
      warning(`has no sidecar: the policy ${keyOf(policy)} selects it, and nobody enforces that`, {
        about: `pod ${keyOf(pod)}`,
        mend: "bring it into the mesh, or it answers whoever reaches it",
      }),
    );
  });
  return found.length === 0
    ? [ok("every pod that a policy selects by labels has a sidecar")]
    : found.slice(0, NAMED_MAX);
}

interface Meshed {
  readonly pod: KubeObject;
  readonly sidecar: SidecarFacts | null;
}

function checkSidecars(pods: readonly Meshed[], facts: ClusterFacts): readonly Finding[] {
  const { ok, warning } = reporter("sidecars");
  const images = imagesOf(facts);
  const hosts = new Set(revisionsOf(facts).map((revision) => `${controlName(revision)}.${facts.namespace}.svc`));
  const meshed = pods.flatMap(({ pod, sidecar }) => (sidecar === null ? [] : [{ pod, sidecar }]));
  const found = meshed.flatMap(({ pod, sidecar }) => findingsOf(pod, sidecar, { images, hosts }));
  if (found.length > 0) return found.slice(0, NAMED_MAX);
  return [
    meshed.length === 0 ? warning("no pod has a sidecar yet", { mend: LABEL }) : ok(`${meshed.length}, all ready`),
  ];
}

const LABEL = "kubectl label namespace NAME cardea.dev/inject=enabled, then restart what runs there";

interface Installed {
  readonly images: ReadonlyMap<string, string>;
  readonly hosts: ReadonlySet<string>;
}

function findingsOf(pod: KubeObject, sidecar: SidecarFacts, { images, hosts }: Installed): readonly Finding[] {
  const { warning, error } = reporter("sidecars");
  const about = `pod ${keyOf(pod)}`;
  const host = sidecar.control.split(":")[0]!;
  if (!hosts.has(host))
    return [
      error(`asks ${host}, and no such control plane is installed: it ends with its certificate`, {
        about,
        mend: "restart it: it is given a sidecar of the revision that its namespace names",
      }),
    ];
  const wanted = images.get(host);
  const lag =
    wanted === undefined || wanted === sidecar.image
      ? []
      : [warning(`runs ${sidecar.image}, installed is ${wanted}`, { about, mend: "restart it when it suits" })];
  if (isReady(pod)) return lag;
  const mend = `kubectl logs -n ${pod.metadata.namespace} ${pod.metadata.name} -c ${CONTAINERS.proxy}`;
  return [...lag, warning("has a sidecar that is not ready", { about, mend })];
}

function isReady(pod: KubeObject): boolean {
  const status = record(pod["status"]);
  return ["initContainerStatuses", "containerStatuses"].some((key) => {
    const list: unknown = status[key];
    return (
      Array.isArray(list) &&
      list.some((each) => record(each)["name"] === CONTAINERS.proxy && record(each)["ready"] === true)
    );
  });
}

function isOver(pod: KubeObject): boolean {
  const phase = record(pod["status"])["phase"];
  return phase === "Succeeded" || phase === "Failed" || pod.metadata.deletionTimestamp !== undefined;
}
