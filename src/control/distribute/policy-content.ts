import type { MeshApi } from "../../api/load.ts";
import { POLICY_TYPE } from "../../api/resource-types.ts";
import type { PolicyFiles } from "../../config/policy-files.ts";
import type { AuthorizationPolicy } from "../../policy/document.ts";
import type { TrafficDocument } from "../../traffic/document.ts";
import { createResource, type Resource } from "./resource.ts";

/** A policy revision as it is distributed: policies, and the traffic rules beside them. */
export interface PolicyContent {
  readonly revision: string;
  readonly documents: readonly AuthorizationPolicy[];
  /** The same by namespace: a sidecar's policies are of its own and of the root's alone. */
  readonly byNamespace: ReadonlyMap<string, readonly AuthorizationPolicy[]>;
  readonly traffic: readonly TrafficDocument[];
  /** cardea.mesh.v1.Policy, encoded once for all receivers. */
  readonly resources: ReadonlyMap<AuthorizationPolicy | TrafficDocument, Resource>;
}

/** `before`: documents that it holds too, the very same objects, are not encoded again. */
export function createPolicyContent(
  { revision, documents, traffic }: Pick<PolicyFiles, "revision" | "documents" | "traffic">,
  api: MeshApi,
  before: PolicyContent | null = null,
): PolicyContent {
  const resources = new Map<AuthorizationPolicy | TrafficDocument, Resource>();
  const add = (kind: string, each: AuthorizationPolicy | TrafficDocument): void =>
    void resources.set(each, before?.resources.get(each) ?? documentResource(kind, each, api));
  for (const each of documents) add("AuthorizationPolicy", each);
  for (const each of traffic) add(each.kind, each);
  const byNamespace = Map.groupBy(documents, ({ namespace }) => namespace);
  return { revision, documents, byNamespace, traffic, resources };
}

function documentResource(kind: string, document: AuthorizationPolicy | TrafficDocument, api: MeshApi): Resource {
  const { namespace, name, source, raw } = document;
  return createResource(`${kind}/${namespace}/${name}`, api.policy, POLICY_TYPE, {
    namespace,
    name,
    kind,
    document: JSON.stringify(raw),
    file: source.file,
    line: source.line ?? 0,
  });
}
