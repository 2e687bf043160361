import { listOf, object, oneOf, parsed, string, withDefault } from "../core/schema.ts";
import { parseTrustDomain } from "../core/spiffe-id.ts";
import { DEFAULT_MESH_SETTINGS } from "../policy/mesh-settings.ts";

const TRUST_DOMAIN = parsed(string(), parseTrustDomain);

/** MeshSettings in files that programs write; people write them in the Mesh document (mesh.ts). */
export const MESH_SETTINGS = object({
  trustDomain: withDefault(TRUST_DOMAIN, DEFAULT_MESH_SETTINGS.trustDomain),
  trustDomainAliases: withDefault(listOf(TRUST_DOMAIN), DEFAULT_MESH_SETTINGS.trustDomainAliases),
  rootNamespace: withDefault(string(), DEFAULT_MESH_SETTINGS.rootNamespace),
  enforcement: withDefault(oneOf("ENFORCE", "AUDIT"), DEFAULT_MESH_SETTINGS.enforcement),
  defaultAction: withDefault(oneOf("DENY", "ALLOW"), DEFAULT_MESH_SETTINGS.defaultAction),
  pathNormalization: withDefault(
    oneOf("NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"),
    DEFAULT_MESH_SETTINGS.pathNormalization,
  ),
});
