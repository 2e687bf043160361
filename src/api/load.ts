import { fileURLToPath } from "node:url";
import { type MessageTypeDefinition, loadSync } from "@grpc/proto-loader";
import type { Policy, Policy__Output } from "./generated/cardea/mesh/v1/Policy.ts";
import type { PlaintextPorts, PlaintextPorts__Output } from "./generated/cardea/mesh/v1/PlaintextPorts.ts";
import type { PolicySet, PolicySet__Output } from "./generated/cardea/mesh/v1/PolicySet.ts";
import type { AggregatedDiscoveryServiceDefinition } from "./generated/envoy/service/discovery/v3/AggregatedDiscoveryService.ts";
import type { IstioCertificateServiceDefinition } from "./generated/istio/v1/auth/IstioCertificateService.ts";
import type { BundleDefinition } from "./generated/spire/api/server/bundle/v1/Bundle.ts";
import type { SVIDDefinition } from "./generated/spire/api/server/svid/v1/SVID.ts";
import type { Address, Address__Output } from "./generated/istio/workload/Address.ts";

/** The services and resource types of both planes, ready for grpc-js. */
export interface MeshApi {
  readonly discovery: AggregatedDiscoveryServiceDefinition;
  readonly certificates: IstioCertificateServiceDefinition;
  readonly svids: SVIDDefinition;
  readonly bundles: BundleDefinition;
  readonly address: MessageTypeDefinition<Address, Address__Output>;
  readonly policy: MessageTypeDefinition<Policy, Policy__Output>;
  readonly policySet: MessageTypeDefinition<PolicySet, PolicySet__Output>;
  readonly plaintextPorts: MessageTypeDefinition<PlaintextPorts, PlaintextPorts__Output>;
}

/** What the types in generated/ were made with (`npm run proto`); the two must agree. */
const OPTIONS = { longs: Number, enums: String, defaults: true, oneofs: true };

const FILES = [
  "envoy/service/discovery/v3/discovery.proto",
  "istio/citadel.proto",
  "istio/workload.proto",
  "cardea/mesh/v1/policy.proto",
  "spire/api/server/svid/v1/svid.proto",
  "spire/api/server/bundle/v1/bundle.proto",
];

let loaded: MeshApi | null = null;

/** Reads the .proto files beside this one, once a process. They stand in dist/ as they do in src/: the build copies them. */
export function loadMeshApi(): MeshApi {
  loaded ??= readMeshApi(fileURLToPath(new URL("./proto", import.meta.url)));
  return loaded;
}

function readMeshApi(protoRoot: string): MeshApi {
  const definitions: Readonly<Record<string, unknown>> = loadSync(FILES, { ...OPTIONS, includeDirs: [protoRoot] });
  const api = {
    discovery: definitions["envoy.service.discovery.v3.AggregatedDiscoveryService"],
    certificates: definitions["istio.v1.auth.IstioCertificateService"],
    svids: definitions["spire.api.server.svid.v1.SVID"],
    bundles: definitions["spire.api.server.bundle.v1.Bundle"],
    address: definitions["istio.workload.Address"],
    policy: definitions["cardea.mesh.v1.Policy"],
    policySet: definitions["cardea.mesh.v1.PolicySet"],
    plaintextPorts: definitions["cardea.mesh.v1.PlaintextPorts"],
  };
  // The names above and the files beside are changed together; the generated types say what they hold.
  return api as MeshApi;
}
