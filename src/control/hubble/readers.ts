import { type SpiffeId, trustDomainOf, workloadNameOf } from "../../core/spiffe-id.ts";
import type { MeshSettings } from "../../policy/mesh-settings.ts";
import type { ReadableNamespaces } from "../flows/query.ts";

/**
 * Which namespaces a caller with a certificate may read: its own, and all of them whoever is in the root namespace, as a
 * policy there holds for all. Null: none, as without a certificate, or of another trust domain, whose namespaces are
 * others by the same names.
 */
export function namespacesOf(
  caller: SpiffeId | null,
  { trustDomain, rootNamespace }: Pick<MeshSettings, "trustDomain" | "rootNamespace">,
): ReadableNamespaces | null {
  if (caller === null || trustDomainOf(caller) !== trustDomain) return null;
  const namespace = workloadNameOf(caller)?.namespace;
  if (namespace === undefined) return null;
  return namespace === rootNamespace ? "all" : new Set([namespace]);
}
