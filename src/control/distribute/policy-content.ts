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
  readonly traffic: readonly TrafficDocument[];
  /** cardea.mesh.v1.Policy, encoded once for all receivers. */
  readonly resources: ReadonlyMap<AuthorizationPolicy | TrafficDocument, Resource>;
}

export function createPolicyContent(
  { revision, documents, traffic }: Pick<PolicyFiles, "revision" | "documents" | "traffic">,
  api: MeshApi,
): PolicyContent {
  const resources = new Map<AuthorizationPolicy | TrafficDocument, Resource>();
  for (const each of documents) resources.set(each, documentResource("AuthorizationPolicy", each, api));
  for (const each of traffic) resources.set(each, documentResource(each.kind, each, api));
  return { revision, documents, traffic, resources };
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
