import { parseIp } from "../../core/cidr.ts";
import { toCardeaError } from "../../core/errors.ts";
import { type KubeObject, keyOf } from "../../core/kube.ts";
import { type SpiffeId, spiffeIdFor } from "../../core/spiffe-id.ts";
import { CONTAINERS } from "../inject/names.ts";
import { list, record } from "./endpoint-facts.ts";

/** What the mesh reads of a Pod. */
export interface PodFacts {
  readonly key: string;
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly node: string | null;
  readonly serviceAccount: string;
  readonly spiffeId: SpiffeId;
  readonly labels: Readonly<Record<string, string>>;
  /** Those that say whether a sidecar is wanted. */
  readonly annotations: Readonly<Record<string, string>>;
  /** IP literals, the first of them the pod's main one. */
  readonly addresses: readonly string[];
  /** It has our sidecar (`cardea-proxy`, a native one or not), in a network of its own. */
  readonly isMeshed: boolean;
  readonly isHostNetwork: boolean;
  /** It has run to its end. */
  readonly isOver: boolean;
  readonly isDeleting: boolean;
  /** What people call it: its Deployment, StatefulSet … */
  readonly workloadName: string;
}

/** Null: nothing that could have an identity. */
export function podFactsOf(object: KubeObject, trustDomain: string): PodFacts | null {
  const { name, namespace = "", uid = "" } = object.metadata;
  const spec = record(object["spec"]);
  const status = record(object["status"]);
  const serviceAccount = text(spec["serviceAccountName"]) ?? "default";
  const isHostNetwork = spec["hostNetwork"] === true;
  try {
    return {
      key: keyOf(object),
      name,
      namespace,
      uid,
      node: text(spec["nodeName"]),
      serviceAccount,
      spiffeId: spiffeIdFor(trustDomain, namespace, serviceAccount),
      labels: sorted(object.metadata.labels ?? {}),
      annotations: ownAnnotations(object),
      addresses: addressesOf(status),
      isMeshed: !isHostNetwork && hasSidecar(spec),
      isHostNetwork,
      isOver: status["phase"] === "Succeeded" || status["phase"] === "Failed",
      isDeleting: object.metadata.deletionTimestamp !== undefined,
      workloadName: workloadNameOf(object),
    };
  } catch (thrown) {
    // Not a name of ours to have: such a pod gets no identity either.
    if (toCardeaError(thrown).code === "spiffe-id-invalid") return null;
    throw thrown;
  }
}

/** What an informer keeps of a pod: a small part, and there may be 150,000. */
export function trimPod(object: KubeObject): KubeObject {
  const { metadata } = object;
  const spec = record(object["spec"]);
  const { phase, podIP, podIPs } = record(object["status"]);
  const kept = Object.entries(metadata).filter(([field]) => POD_METADATA.has(field));
  return {
    metadata: { ...Object.fromEntries(kept), name: metadata.name, annotations: ownAnnotations(object) },
    spec: dropUndefined({
      nodeName: spec["nodeName"],
      serviceAccountName: spec["serviceAccountName"],
      hostNetwork: spec["hostNetwork"],
      containers: namesOf(spec["containers"]),
      initContainers: namesOf(spec["initContainers"]),
    }),
    status: dropUndefined({ phase, podIP, podIPs }),
  };
}

const POD_METADATA: ReadonlySet<string> = new Set([
  "namespace",
  "uid",
  "resourceVersion",
  "labels",
  "ownerReferences",
  "creationTimestamp",
  "deletionTimestamp",
]);

function hasSidecar(spec: Readonly<Record<string, unknown>>): boolean {
  return [...list(spec["containers"]), ...list(spec["initContainers"])].some(
    (container) => record(container)["name"] === CONTAINERS.proxy,
  );
}

function addressesOf(status: Readonly<Record<string, unknown>>): readonly string[] {
  const all = [...list(status["podIPs"]).map((each) => record(each)["ip"]), status["podIP"]];
  return [...new Set(all.filter((each): each is string => typeof each === "string" && parseIp(each) !== null))];
}

/** As Istio names it: the Deployment of a ReplicaSet, the CronJob's Job, else whoever controls the pod. */
function workloadNameOf({ metadata }: KubeObject): string {
  const owner = list(metadata["ownerReferences"])
    .map(record)
    .find((each) => each["controller"] === true);
  const name = text(owner?.["name"]) ?? metadata.name;
  const hash = metadata.labels?.["pod-template-hash"];
  const isOfReplicaSet = owner?.["kind"] === "ReplicaSet" && hash !== undefined && name.endsWith(`-${hash}`);
  return isOfReplicaSet ? name.slice(0, -hash.length - 1) : name;
}

function sorted(labels: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(labels).toSorted(([left], [right]) => (left < right ? -1 : 1)));
}

function namesOf(containers: unknown): readonly { readonly name: unknown }[] {
  return list(containers).map((container) => ({ name: record(container)["name"] }));
}

/** Ours, Istio's and Linkerd's words for it (inject/opt-in.ts). */
const OPT_IN = /^(?:cardea\.dev\/|sidecar\.istio\.io\/inject$|istio-injection$|linkerd\.io\/inject$)/;

function ownAnnotations({ metadata }: KubeObject): Readonly<Record<string, string>> {
  const given = Object.entries(metadata.annotations ?? {});
  return Object.fromEntries(given.filter(([name]) => OPT_IN.test(name)));
}

// A field that is written out as undefined costs memory, and is no JSON.
function dropUndefined<T extends object>(fields: T): T {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;
}

function text(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}
