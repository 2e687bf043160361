import { isJsonList, type JsonValue, memberOf, valueAt } from "../../core/json-value.ts";
import { NAMESPACE_WHEN_ABSENT } from "../../core/object-metadata.ts";

export type JsonPath = readonly (string | number)[];

/** A pod, or the template from which an object makes pods. */
export interface PodTemplate {
  readonly kind: string;
  readonly name: string;
  readonly namespace: string;
  /** Where it is in the document; empty for a pod itself. */
  readonly path: JsonPath;
  readonly pod: JsonValue;
}

/** Kinds that bring pods: the groups they are in, and where their template is. */
const KINDS: Readonly<Record<string, { readonly groups: readonly string[]; readonly path: JsonPath }>> = {
  Pod: { groups: [""], path: [] },
  PodTemplate: { groups: [""], path: ["template"] },
  ReplicationController: { groups: [""], path: ["spec", "template"] },
  Deployment: { groups: ["apps", "extensions"], path: ["spec", "template"] },
  ReplicaSet: { groups: ["apps", "extensions"], path: ["spec", "template"] },
  DaemonSet: { groups: ["apps", "extensions"], path: ["spec", "template"] },
  StatefulSet: { groups: ["apps"], path: ["spec", "template"] },
  Job: { groups: ["batch"], path: ["spec", "template"] },
  CronJob: { groups: ["batch"], path: ["spec", "jobTemplate", "spec", "template"] },
};

/** A List of Lists is no document that anybody writes. */
const LISTS_MAX = 4;

/** Every pod template of a document, those in a List included; none of a kind that brings no pods. */
export function findPodTemplates(document: JsonValue, namespace = NAMESPACE_WHEN_ABSENT): readonly PodTemplate[] {
  return findIn(document, { namespace, path: [], lists: 0 });
}

interface Place {
  readonly namespace: string;
  readonly path: JsonPath;
  readonly lists: number;
}

function findIn(document: JsonValue, place: Place): readonly PodTemplate[] {
  const kind = memberOf(document, "kind");
  if (typeof kind !== "string") return [];
  const group = groupOf(memberOf(document, "apiVersion"));
  const items = memberOf(document, "items");
  if (kind === "List" && group === "" && isJsonList(items) && place.lists < LISTS_MAX) {
    return items.flatMap((item, index) =>
      findIn(item, { ...place, path: [...place.path, "items", index], lists: place.lists + 1 }),
    );
  }
  const known = Object.hasOwn(KINDS, kind) ? KINDS[kind]! : null;
  if (known === null || group === null || !known.groups.includes(group)) return [];
  const pod = valueAt(document, known.path);
  // Without a template there is nothing to inject; the server says what it thinks of that.
  if (pod === undefined || pod === null) return [];
  const metadata = memberOf(document, "metadata");
  return [
    {
      kind,
      name: textOr(memberOf(metadata, "name") ?? memberOf(metadata, "generateName"), "(no name)"),
      namespace: textOr(memberOf(metadata, "namespace"), place.namespace),
      path: [...place.path, ...known.path],
      pod,
    },
  ];
}

/** `apps/v1` → `apps`, `v1` → the empty text of the core group. */
function groupOf(apiVersion: JsonValue | undefined): string | null {
  if (typeof apiVersion !== "string") return null;
  const slash = apiVersion.indexOf("/");
  return slash < 0 ? "" : apiVersion.slice(0, slash);
}

function textOr(value: JsonValue | undefined, otherwise: string): string {
  return typeof value === "string" && value !== "" ? value : otherwise;
}
