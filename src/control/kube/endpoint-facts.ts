import { parseIp } from "../../core/cidr.ts";
import { type KubeObject, keyOf } from "../../core/kube.ts";
import { declaredProtocol, type PortProtocol } from "../../core/port-protocol.ts";
import { type ExportTo, exportToOf } from "../../traffic/export-to.ts";

/** What the mesh reads of a Service. */
export interface ServiceFacts {
  readonly key: string;
  readonly name: string;
  readonly namespace: string;
  readonly addresses: readonly string[];
  /** Those that the mesh carries, which are TCP's. */
  readonly ports: readonly ServicePortFacts[];
  /** Endpoints that are not ready are offered as well. */
  readonly offersUnready: boolean;
  /** The namespaces that learn of it, by Istio's annotation; null: all. */
  readonly exportTo: ExportTo;
}

export interface ServicePortFacts {
  /** Empty where there is one port alone. EndpointSlices name theirs alike. */
  readonly name: string;
  readonly port: number;
  /** Where it is a number; a name differs from pod to pod, and the EndpointSlice has it. */
  readonly targetPort: number | null;
  readonly protocol: PortProtocol;
}

/** What the mesh reads of an EndpointSlice: pods, and where they take the ports of the service. */
export interface SliceFacts {
  readonly key: string;
  readonly serviceKey: string;
  /** Port name → the pods' own port. */
  readonly ports: ReadonlyMap<string, number>;
  /** By the pod's key. */
  readonly pods: ReadonlyMap<string, EndpointState>;
}

export interface EndpointState {
  readonly isReady: boolean;
  readonly isTerminating: boolean;
}

/** Null: a service without endpoints of its own (ExternalName). */
export function serviceFactsOf(object: KubeObject): ServiceFacts | null {
  const spec = record(object["spec"]);
  if (spec["type"] === "ExternalName") return null;
  const { name, namespace = "" } = object.metadata;
  return {
    key: keyOf(object),
    name,
    namespace,
    addresses: addressesOf(spec),
    ports: list(spec["ports"]).flatMap(servicePortOf),
    offersUnready: spec["publishNotReadyAddresses"] === true,
    exportTo: exportToOf(exportToIn(object.metadata.annotations), namespace),
  };
}

/** A comma-separated list; null: not said. `~` and nothing at all mean nobody, as Istio has it. */
function exportToIn(annotations: Readonly<Record<string, string>> = {}): readonly string[] | null {
  const text = annotations["networking.istio.io/exportTo"];
  if (text === undefined) return null;
  return text.split(",").flatMap((each) => (each.trim() === "" || each.trim() === "~" ? [] : [each.trim()]));
}

/** Null: of no service, or not of IP addresses. */
export function sliceFactsOf(object: KubeObject): SliceFacts | null {
  const { namespace = "", labels } = object.metadata;
  const service = labels?.["kubernetes.io/service-name"];
  if (service === undefined || object["addressType"] === "FQDN") return null;
  const pods = list(object["endpoints"]).flatMap((endpoint) => endpointOf(endpoint, namespace));
  return {
    key: keyOf(object),
    serviceKey: `${namespace}/${service}`,
    ports: new Map(list(object["ports"]).flatMap(slicePortOf)),
    pods: new Map(pods),
  };
}

function endpointOf(value: unknown, namespace: string): [string, EndpointState][] {
  const endpoint = record(value);
  const target = record(endpoint["targetRef"]);
  if (target["kind"] !== "Pod" || typeof target["name"] !== "string") return [];
  const conditions = record(endpoint["conditions"]);
  // Unknown counts as ready (API, EndpointConditions).
  const state = { isReady: conditions["ready"] !== false, isTerminating: conditions["terminating"] === true };
  return [[`${namespace}/${target["name"]}`, state]];
}

function slicePortOf(value: unknown): [string, number][] {
  const { name, port, protocol } = record(value);
  if (!isPort(port) || (protocol ?? "TCP") !== "TCP") return [];
  return [[typeof name === "string" ? name : "", port]];
}

function servicePortOf(value: unknown): ServicePortFacts[] {
  const { name, port, protocol, appProtocol, targetPort } = record(value);
  if (!isPort(port) || (protocol ?? "TCP") !== "TCP") return [];
  const declared = declaredProtocol({ port, name: textOrNull(name), appProtocol: textOrNull(appProtocol) });
  if (declared === null) return [];
  const target = targetPort === undefined ? port : isPort(targetPort) ? targetPort : null;
  return [{ name: textOrNull(name) ?? "", port, targetPort: target, protocol: declared }];
}

/** A headless service has none. */
function addressesOf(spec: Readonly<Record<string, unknown>>): readonly string[] {
  const given = list(spec["clusterIPs"] ?? (spec["clusterIP"] === undefined ? [] : [spec["clusterIP"]]));
  return given.filter((each): each is string => typeof each === "string" && parseIp(each) !== null);
}

function isPort(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= 65_535;
}

function textOrNull(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

/** What is no map is an empty one: whatever the API server takes must not stop the mesh. */
export function record(value: unknown): Readonly<Record<string, unknown>> {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
