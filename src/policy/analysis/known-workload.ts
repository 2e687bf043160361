import type { SpiffeId } from "../../core/spiffe-id.ts";
import type { AuthorizationPolicy } from "../document.ts";
import type { Workload } from "../facts.ts";
import type { MeshSettings } from "../mesh-settings.ts";
import type { Protocol } from "./space/facts.ts";

/** A workload as the analyses know it: from a mesh file, or made up to stand for all that a policy's selector takes. */
export interface KnownWorkload extends Workload {
  /** `namespace/name`. */
  readonly name: string;
  /** Null for one that was made up. */
  readonly principal: SpiffeId | null;
  /** Null: nothing is known of its ports. */
  readonly ports: readonly KnownPort[] | null;
  readonly hosts: readonly string[];
}

export interface KnownPort {
  readonly port: number;
  readonly protocols: readonly Protocol[];
}

/** Where a question can be put: a workload's port, or any port of one whose ports are not known. */
export interface Destination {
  readonly workload: KnownWorkload;
  readonly port: number | null;
  readonly protocol: Protocol;
}

export function destinationsOf(workload: KnownWorkload): readonly Destination[] {
  const ports = workload.ports ?? [{ port: null, protocols: ["http", "tcp"] as const }];
  return ports.flatMap(({ port, protocols }) => protocols.map((protocol) => ({ workload, port, protocol })));
}

/** e.g. `ledger/ledger:7000 (tcp)`. */
export function nameOf({ workload, port, protocol }: Destination): string {
  return `${workload.name}${port === null ? "" : `:${port}`} (${protocol})`;
}

/**
 * Without a mesh file, one workload for each selector and each namespace of the policies, and one in a namespace that no
 * policy names: together they stand for all that the policies can tell apart but by several selectors at once.
 */
export function workloadsNamedBy(
  documents: readonly AuthorizationPolicy[],
  settings: MeshSettings,
): readonly KnownWorkload[] {
  const namespaces = new Set(documents.map(({ namespace }) => namespace));
  const found = new Map<string, KnownWorkload>();
  const add = (namespace: string, labels: Readonly<Record<string, string>>): void => {
    const workload = madeUp(namespace, labels);
    found.set(workload.name, workload);
  };
  for (const { namespace, matchLabels } of documents) {
    const reach = namespace === settings.rootNamespace ? namespaces : [namespace];
    for (const each of reach) add(each, Object.fromEntries(matchLabels));
  }
  for (const namespace of [...namespaces, "some-namespace"]) add(namespace, {});
  return [...found.values()];
}

function madeUp(namespace: string, labels: Readonly<Record<string, string>>): KnownWorkload {
  const named = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  const name = `${namespace}/${labels["app"] ?? (named.length === 0 ? "*" : named.join(","))}`;
  return { name, namespace, labels, principal: null, ports: null, hosts: [] };
}
