import type { SidecarScope } from "../../traffic/sidecar.ts";
import { type EgressHost, reaches } from "../../traffic/sidecar.ts";
import type { DocumentOf, TrafficDocument } from "../../traffic/document.ts";
import type { About } from "./about.ts";
import type { LabelSet } from "./policy-set.ts";

/** Which part of the registry a caller is told of. Equal keys mean the same part. */
export interface EgressScope {
  readonly key: string;
  sees(about: About): boolean;
}

type SidecarDocument = DocumentOf<SidecarScope>;

/** By namespace. */
export type SidecarDocuments = ReadonlyMap<string, readonly SidecarDocument[]>;

/** In the order of their names, which decides between two that select the same workload. */
export function sidecarDocuments(documents: readonly TrafficDocument[]): SidecarDocuments {
  const found = documents.filter((each): each is SidecarDocument => each.kind === "Sidecar");
  return Map.groupBy(
    found.toSorted((left, right) => (left.id < right.id ? -1 : 1)),
    ({ namespace }) => namespace,
  );
}

interface ScopedCaller {
  readonly namespace: string;
  /** The label sets of the caller's workloads; none: they are not known, and then no selector can be held against them. */
  readonly labels: readonly LabelSet[];
  readonly rootNamespace: string;
}

/** What each of the workloads under one identity needs, together: replicas share what they are told. */
export function egressScopeOf(documents: SidecarDocuments, caller: ScopedCaller): EgressScope {
  const { namespace, labels } = caller;
  const chosen = labels.length === 0 ? [undefined] : labels.map((each) => chooseFor(each, documents, caller));
  const egress = chosen.map((each) => (each === undefined ? null : each.egress));
  const hosts = egress.includes(null) ? null : egress.flatMap((each) => each ?? []);
  return scopeFor(namespace, hosts);
}

/** The one that selects the workload, else the namespace's, else the root's. */
function chooseFor(
  labels: LabelSet,
  documents: SidecarDocuments,
  { namespace, rootNamespace }: ScopedCaller,
): SidecarDocument | undefined {
  const own = documents.get(namespace) ?? [];
  const isSelected = (each: SidecarDocument): boolean =>
    each.labels !== null && [...each.labels].every(([name, value]) => labels[name] === value);
  const ofAll = (all: readonly SidecarDocument[]) => all.find((each) => each.labels === null);
  return own.find(isSelected) ?? ofAll(own) ?? ofAll(documents.get(rootNamespace) ?? []);
}

function scopeFor(namespace: string, hosts: readonly EgressHost[] | null): EgressScope {
  const texts = hosts === null ? ["*"] : [...new Set(hosts.map((each) => `${each.namespace}/${each.host}`))].toSorted();
  return {
    key: `${namespace} ${texts.join(" ")}`,
    sees(about) {
      if (about.exportTo !== null && !about.exportTo.includes(namespace)) return false;
      if (hosts === null) return true;
      // Behind no service, it is reached by its address alone.
      if (about.services.length === 0) return about.namespace === namespace;
      return about.services.some((name) => {
        const slash = name.indexOf("/");
        return reaches(hosts, name.slice(0, slash), name.slice(slash + 1));
      });
    },
  };
}
