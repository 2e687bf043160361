import type { JsonObject } from "../../core/json-value.ts";
import { KUBE } from "../../core/kube-resources.ts";
import { apiVersionOf, type KubeApi, type KubeName, type KubeObject, type KubeResource } from "../../core/kube.ts";
import { CardeaError, toCardeaError } from "../../core/errors.ts";
import { controlName } from "../kube/control-name.ts";
import { ROOT_CONFIG_MAP } from "../kube/trust-bundle.ts";
import { ISTIO_CRDS } from "./istio-crds.ts";
import { makeManifests } from "./manifests.ts";
import { DEFAULT_OWNER, OWNER_LABEL, PART_OF } from "./names.ts";
import { OWN_CRDS } from "./own-crds.ts";
import { DEFAULT_VALUES, HA_PROFILE, joinValues, treeOf } from "./values.ts";

export interface RemovalOptions {
  readonly kube: KubeApi;
  readonly namespace: string;
  /** Null: the installation without a name. */
  readonly revision: string | null;
  /** Istio's kinds that we have brought go as well, and with them every policy in the cluster. */
  readonly withPolicies: boolean;
}

/** An object that goes. */
export interface Removal {
  readonly resource: KubeResource;
  readonly at: KubeName;
  readonly uid: string | undefined;
}

/**
 * All that an installation and its control plane have made and that is still there, in the order in which it goes: the
 * webhooks first, since nothing would answer them, and what lets the control plane write before what it would write
 * anew. What all revisions share goes with the last of them. Errors: those of KubeApi.
 */
export async function planRemoval(options: RemovalOptions): Promise<readonly Removal[]> {
  const { kube, namespace, revision } = options;
  const own = await present(kube, ownObjects(options));
  const ours = own.filter(({ object }) => object.metadata.labels?.[OWNER_LABEL] === (revision ?? DEFAULT_OWNER));
  const leases = await present(kube, [{ resource: KUBE.leases, at: { namespace, name: controlName(revision) } }]);
  const shared = (await hasOthers(options)) ? [] : await sharedObjects(options);
  return [...ours, ...leases, ...shared]
    .filter(({ object }) => object.metadata.deletionTimestamp === undefined)
    .toSorted((a, b) => rankOf(a.resource) - rankOf(b.resource))
    .map(({ resource, at, object }) => ({ resource, at, uid: object.metadata.uid }));
}

/** `kind namespace/name`, for people. */
export function describeRemoval({ resource, at }: Pick<Removal, "resource" | "at">): string {
  return `${resource.kind} ${at.namespace === undefined ? at.name : `${at.namespace}/${at.name}`}`;
}

/** Rounds after which something that we do not know of makes objects anew. */
const ROUNDS_MAX = 10;

/** Removes until nothing is left: a control plane that ends may write once more. Errors: those of KubeApi. */
export async function removeAll(
  options: RemovalOptions,
  { onRemoved, pause }: { onRemoved: (removal: Removal) => void; pause: () => Promise<void> },
): Promise<void> {
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    const planned = await planRemoval(options);
    if (planned.length === 0) return;
    if (round > 0) await pause();
    for (const removal of planned) if (await remove(options.kube, removal)) onRemoved(removal);
  }
  const left = (await planRemoval(options)).map(describeRemoval);
  if (left.length > 0)
    throw new CardeaError("kube-conflict", `made anew as often as it is removed: ${left.join(", ")}`);
}

/** Another object of the same name is not the one that was planned, and stays for the next round. */
async function remove(kube: KubeApi, { resource, at, uid }: Removal): Promise<boolean> {
  try {
    return await kube.delete(resource, at, uid === undefined ? {} : { uid });
  } catch (thrown) {
    if (toCardeaError(thrown).code === "kube-conflict") return false;
    throw thrown;
  }
}

interface Place {
  readonly resource: KubeResource;
  readonly at: KubeName;
}

interface Found extends Place {
  readonly object: KubeObject;
}

/** Whatever its values were: all that could be there, by name. */
function ownObjects({ namespace, revision }: RemovalOptions): readonly Place[] {
  const revised = revision === null ? {} : { revision, defaultRevision: true };
  const monitored = { "monitoring.podMonitors": true, "monitoring.rules": true, "monitoring.dashboards": true };
  const values = [treeOf(HA_PROFILE), treeOf(monitored), revised].reduce(joinValues, DEFAULT_VALUES);
  return makeManifests({ values, namespace }).map(placeOf);
}

function placeOf(manifest: JsonObject): Place {
  // We have made it: it has them.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const { apiVersion, kind, metadata } = manifest as unknown as {
    apiVersion: string;
    kind: string;
    metadata: KubeName;
  };
  const resource = Object.values(KUBE).find((each) => each.kind === kind && apiVersionOf(each) === apiVersion);
  if (resource === undefined)
    throw new CardeaError("internal", `we install ${kind} of ${apiVersion}, and cannot remove it`);
  const { name, namespace } = metadata;
  return { resource, at: { name, ...(namespace === undefined ? {} : { namespace }) } };
}

async function hasOthers({ kube, namespace, revision }: RemovalOptions): Promise<boolean> {
  const { items } = await kube.list(KUBE.deployments, { namespace, labelSelector: selectorOf(PART_OF) });
  return items.some(({ metadata }) => {
    const owner = metadata.labels?.[OWNER_LABEL];
    return owner !== undefined && owner !== (revision ?? DEFAULT_OWNER);
  });
}

/** What the control planes of all revisions have made together, and the namespace if it is ours. */
async function sharedObjects({ kube, namespace, withPolicies }: RemovalOptions): Promise<readonly Found[]> {
  const roots = await kube.list(KUBE.configMaps, {
    labelSelector: selectorOf(PART_OF),
    fieldSelector: `metadata.name=${ROOT_CONFIG_MAP}`,
  });
  const crds = [...OWN_CRDS, ...(withPolicies ? ISTIO_CRDS : [])].map(placeOf);
  const others = await present(kube, [
    { resource: KUBE.secrets, at: { namespace, name: "cardea-ca" } },
    { resource: KUBE.clusterTrustBundles, at: { name: ROOT_CONFIG_MAP } },
    ...crds,
    { resource: KUBE.namespaces, at: { name: namespace } },
  ]);
  return [
    ...roots.items.map((object) => ({
      resource: KUBE.configMaps,
      at: { name: ROOT_CONFIG_MAP, namespace: object.metadata.namespace ?? namespace },
      object,
    })),
    ...others.filter((found) => isOurs(found)),
  ];
}

/** By our label; the bundle and the Secret are by their names, which nobody else may take. */
function isOurs({ resource, object }: Found): boolean {
  if (resource === KUBE.secrets || resource === KUBE.clusterTrustBundles) return true;
  return Object.entries(PART_OF).every(([key, label]) => object.metadata.labels?.[key] === label);
}

async function present(kube: KubeApi, places: readonly Place[]): Promise<readonly Found[]> {
  const found = await Promise.all(places.map(async (place) => ({ ...place, object: await getIfServed(kube, place) })));
  return found.flatMap((each) => (each.object === null ? [] : [{ ...each, object: each.object }]));
}

/** A kind that the server does not have has no objects. */
async function getIfServed(kube: KubeApi, { resource, at }: Place): Promise<KubeObject | null> {
  try {
    return await kube.get(resource, at);
  } catch (thrown) {
    if (toCardeaError(thrown).code === "kube-absent") return null;
    throw thrown;
  }
}

function selectorOf(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, label]) => `${key}=${label}`)
    .join(",");
}

const FIRST: readonly KubeResource[] = [
  KUBE.admissionPolicyBindings,
  KUBE.admissionPolicies,
  KUBE.mutatingWebhooks,
  KUBE.validatingWebhooks,
  KUBE.deployments,
  KUBE.clusterRoleBindings,
  KUBE.roleBindings,
  KUBE.serviceAccounts,
];
const LAST: readonly KubeResource[] = [KUBE.customResourceDefinitions, KUBE.namespaces];

function rankOf(resource: KubeResource): number {
  const first = FIRST.indexOf(resource);
  if (first >= 0) return first;
  return FIRST.length + 1 + LAST.indexOf(resource);
}
