import type { MeshApi } from "../../api/load.ts";
import { POLICY_TYPE } from "../../api/resource-types.ts";
import type { PolicyFiles } from "../../config/policy-files.ts";
import type { AuthenticationDocument } from "../../policy/authentication/document.ts";
import type { AuthorizationPolicy } from "../../policy/document.ts";
import type { TrafficDocument } from "../../traffic/document.ts";
import { createResource, type Resource } from "./resource.ts";

/** What a sidecar is sent by name and hash. */
type Distributed = AuthorizationPolicy | AuthenticationDocument | TrafficDocument;

/** A policy revision as it is distributed: policies, and what else lies beside them. */
export interface PolicyContent {
  readonly revision: string;
  readonly documents: readonly AuthorizationPolicy[];
  readonly authentication: readonly AuthenticationDocument[];
  /** What selects workloads, by namespace: a sidecar's are of its own and of the root's alone. */
  readonly byNamespace: ReadonlyMap<string, readonly (AuthorizationPolicy | AuthenticationDocument)[]>;
  readonly traffic: readonly TrafficDocument[];
  /** Keys that rules ask for, by `keySourceId`; see keyed-content.ts. */
  readonly keySets: ReadonlyMap<string, Resource>;
  /** cardea.mesh.v1.Policy, encoded once for all receivers. */
  readonly resources: ReadonlyMap<Distributed, Resource>;
}

/** `before`: documents that it holds too, the very same objects, are not encoded again. */
export function createPolicyContent(
  {
    revision,
    documents,
    authentication,
    traffic,
  }: Pick<PolicyFiles, "revision" | "documents" | "authentication" | "traffic">,
  api: MeshApi,
  before: PolicyContent | null = null,
): PolicyContent {
  const resources = new Map<Distributed, Resource>();
  const add = (kind: string, each: Distributed): void =>
    void resources.set(each, before?.resources.get(each) ?? documentResource(kind, each, api));
  for (const each of documents) add("AuthorizationPolicy", each);
  for (const each of [...authentication, ...traffic]) add(each.kind, each);
  const byNamespace = Map.groupBy([...documents, ...authentication], ({ namespace }) => namespace);
  return { revision, documents, authentication, byNamespace, traffic, keySets: new Map(), resources };
}

function documentResource(kind: string, document: Distributed, api: MeshApi): Resource {
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
