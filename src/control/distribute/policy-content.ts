import type { MeshApi } from "../../api/load.ts";
import { POLICY_TYPE } from "../../api/resource-types.ts";
import type { AuthorizationPolicy } from "../../policy/document.ts";
import { createResource, type Resource } from "./resource.ts";

/** A policy revision as it is distributed. */
export interface PolicyContent {
  readonly revision: string;
  readonly documents: readonly AuthorizationPolicy[];
  /** cardea.mesh.v1.Policy, encoded once for all receivers. */
  readonly resources: ReadonlyMap<AuthorizationPolicy, Resource>;
}

export function createPolicyContent(
  revision: string,
  documents: readonly AuthorizationPolicy[],
  api: MeshApi,
): PolicyContent {
  const resources = new Map(documents.map((document) => [document, policyResource(document, api)]));
  return { revision, documents, resources };
}

function policyResource(document: AuthorizationPolicy, api: MeshApi): Resource {
  const { namespace, name, source, raw } = document;
  const kind = "AuthorizationPolicy";
  return createResource(`${kind}/${namespace}/${name}`, api.policy, POLICY_TYPE, {
    namespace,
    name,
    kind,
    document: JSON.stringify(raw),
    file: source.file,
    line: source.line ?? 0,
  });
}
