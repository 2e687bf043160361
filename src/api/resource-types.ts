/** Type URLs of the resources on the discovery stream (xDS: type.googleapis.com/<full message name>). */
export const ADDRESS_TYPE = "type.googleapis.com/istio.workload.Address";
export const POLICY_TYPE = "type.googleapis.com/cardea.mesh.v1.Policy";
export const POLICY_SET_TYPE = "type.googleapis.com/cardea.mesh.v1.PolicySet";

/** There is one policy set for each receiver. */
export const POLICY_SET_NAME = "mesh";

/** An extension of a workload: which of its ports take plaintext alone. */
export const PLAINTEXT_PORTS_EXTENSION = "cardea.mesh.v1.PlaintextPorts";
export const PLAINTEXT_PORTS_TYPE = `type.googleapis.com/${PLAINTEXT_PORTS_EXTENSION}`;
