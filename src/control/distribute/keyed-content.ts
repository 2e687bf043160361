import type { MeshApi } from "../../api/load.ts";
import { POLICY_TYPE } from "../../api/resource-types.ts";
import { createLatest, type Latest } from "../../core/latest.ts";
import type { AuthenticationDocument } from "../../policy/authentication/document.ts";
import { type FetchedKeys, keySourceId } from "../../policy/authentication/key-source.ts";
import type { WantedKeys } from "../jwks/key-cache.ts";
import type { PolicyContent } from "./policy-content.ts";
import { createResource, type Resource } from "./resource.ts";

/** The sources of keys that documents name, each once. */
export function wantedKeysOf(documents: readonly AuthenticationDocument[]): readonly WantedKeys[] {
  const byId = new Map<string, WantedKeys>();
  for (const document of documents) {
    if (document.kind !== "RequestAuthentication") continue;
    for (const { keys: source, timeoutMs } of document.jwtRules) {
      if (source.from === "policy") continue;
      const id = keySourceId(source);
      byId.set(id, { source, timeoutMs: Math.max(timeoutMs, byId.get(id)?.timeoutMs ?? 0) });
    }
  }
  return [...byId.values()];
}

/**
 * The policies with the keys that their rules ask for: keys are resources of the set like documents, named by their hash, so
 * that a sidecar puts both in force at once. Changes with either.
 */
export function withKeys(
  policies: Latest<PolicyContent | null>,
  fetched: Latest<ReadonlyMap<string, FetchedKeys>>,
  api: MeshApi,
): Latest<PolicyContent | null> {
  const resources = new WeakMap<FetchedKeys, Resource>();
  const resourceOf = (id: string, keys: FetchedKeys): Resource => {
    const known = resources.get(keys) ?? keySetResource(id, keys, api);
    resources.set(keys, known);
    return known;
  };
  const join = (): PolicyContent | null => {
    const content = policies.get();
    if (content === null || fetched.get().size === 0) return content;
    const keySets = new Map([...fetched.get()].map(([id, keys]) => [id, resourceOf(id, keys)]));
    return { ...content, keySets };
  };
  const joined = createLatest(join());
  policies.subscribe(() => joined.set(join()));
  fetched.subscribe(() => joined.set(join()));
  return joined;
}

function keySetResource(id: string, keys: FetchedKeys, api: MeshApi): Resource {
  return createResource(`KeySet/keys/${id}`, api.policy, POLICY_TYPE, {
    namespace: "keys",
    name: id,
    kind: "KeySet",
    document: JSON.stringify(keys),
    file: "",
    line: 0,
  });
}
