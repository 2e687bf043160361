import type { DeltaDiscoveryRequest__Output } from "../../../../src/api/generated/envoy/service/discovery/v3/DeltaDiscoveryRequest.ts";
import type { Resource, TypeView } from "../../../../src/control/distribute/resource.ts";

/** A view of resources given as name and version; the body's size can be set. */
export function viewOf(version: string, versions: Readonly<Record<string, string>>, bytes = 1): TypeView {
  const resources = new Map<string, Resource>();
  for (const [name, each] of Object.entries(versions))
    resources.set(name, { name, version: each, body: { type_url: "t", value: Buffer.alloc(bytes) }, about: null });
  return { version, resources };
}

/** A request as it comes off the wire, with what the test cares about. */
export function requestOf(parts: Partial<DeltaDiscoveryRequest__Output> = {}): DeltaDiscoveryRequest__Output {
  return {
    node: null,
    typeUrl: "t",
    resourceNamesSubscribe: [],
    resourceNamesUnsubscribe: [],
    initialResourceVersions: {},
    responseNonce: "",
    errorDetail: null,
    ...parts,
  };
}
