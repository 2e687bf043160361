import { type Mesh, parseMesh } from "../config/mesh.ts";
import { parseYaml } from "../config/yaml.ts";
import { findPodTemplates } from "../control/inject/pod-templates.ts";
import { CardeaError } from "../core/errors.ts";
import { isJsonList, type JsonValue, memberOf, valueAt } from "../core/json-value.ts";
import { type Fault, formatFault } from "../core/located.ts";
import { NAMESPACE_WHEN_ABSENT } from "../core/object-metadata.ts";
import { carriesRequests, declaredProtocol } from "../core/port-protocol.ts";
import { lookUp, plainOf } from "../core/schema.ts";
import { spiffeIdFor } from "../core/spiffe-id.ts";
import { LIMITS } from "../core/limits.ts";
import { readText } from "../io/files.ts";
import type { KnownPort, KnownWorkload } from "../policy/analysis/known-workload.ts";
import { DEFAULT_MESH_SETTINGS, type MeshSettings } from "../policy/mesh-settings.ts";
import { serviceHost } from "../traffic/hosts.ts";
import { knownWorkloads } from "./known-workloads.ts";

/** What policies are about: a mesh's settings, and the workloads in it. */
export interface KnownGround {
  readonly settings: MeshSettings;
  readonly workloads: readonly KnownWorkload[];
  /** Whether the settings are those of a mesh file, and not the defaults. */
  readonly isMesh: boolean;
}

/**
 * A mesh file, or Kubernetes manifests as `kubectl get deploy,sts,ds,svc -A -o yaml` prints them, under the default
 * settings. Errors: `bad-input`.
 */
export async function readGround(file: string): Promise<KnownGround> {
  const faults: Fault[] = [];
  const documents = parseYaml(await readText(file, LIMITS.documentBytesMax), file, faults);
  const isMesh = documents.some((document) => {
    const kind = lookUp(document, "kind");
    return kind?.kind === "scalar" && kind.value === "Mesh";
  });
  if (faults.length === 0 && !isMesh) {
    // What YAML says beyond JSON was refused when it was read.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    const workloads = workloadsIn(documents.map((document) => plainOf(document) as JsonValue));
    if (workloads.length > 0) return { settings: DEFAULT_MESH_SETTINGS, workloads, isMesh: false };
    throw new CardeaError("bad-input", `${file}: expected a Mesh document, or Kubernetes objects that have pods`);
  }
  const meshes = documents.flatMap((document): readonly Mesh[] => {
    const mesh = parseMesh(document, { file }, faults);
    return mesh === null ? [] : [mesh];
  });
  if (faults.length > 0) throw new CardeaError("bad-input", faults.map(formatFault).join("\n"));
  if (meshes.length !== 1)
    throw new CardeaError("bad-input", `${file}: expected one Mesh document, found ${meshes.length}`);
  return { settings: meshes[0]!.settings, workloads: knownWorkloads(meshes[0]!), isMesh: true };
}

/** One workload for each object that brings pods; its ports speak what the Services before them declare. */
function workloadsIn(documents: readonly JsonValue[]): readonly KnownWorkload[] {
  const services = documents.flatMap(withItems).filter((each) => memberOf(each, "kind") === "Service");
  const { trustDomain } = DEFAULT_MESH_SETTINGS;
  return documents.flatMap((document) =>
    findPodTemplates(document).map(({ name, namespace, pod }) => {
      const labels = textsOf(valueAt(pod, ["metadata", "labels"]));
      const account = valueAt(pod, ["spec", "serviceAccountName"]);
      const mine = services.filter((service) => selects(service, namespace, labels));
      return {
        name: `${namespace}/${name}`,
        namespace,
        labels,
        principal: spiffeIdFor(trustDomain, namespace, typeof account === "string" ? account : "default"),
        ports: portsOf(pod, mine),
        hosts: mine.map((service) => serviceHost(nameOf(service), namespace)),
      };
    }),
  );
}

function portsOf(pod: JsonValue, services: readonly JsonValue[]): readonly KnownPort[] {
  const declared = services.flatMap((service) => itemsAt(service, ["spec", "ports"]));
  const ports = itemsAt(pod, ["spec", "containers"]).flatMap((container) => itemsAt(container, ["ports"]));
  return ports.flatMap((containerPort) => {
    const [port, own] = [memberOf(containerPort, "containerPort"), memberOf(containerPort, "name")];
    if (typeof port !== "number") return [];
    const before = declared.find((each) => {
      const target = memberOf(each, "targetPort") ?? memberOf(each, "port");
      return target === port || (own !== undefined && target === own);
    });
    return [{ port, protocols: protocolsOf(port, before) }];
  });
}

function protocolsOf(port: number, declared: JsonValue | undefined): KnownPort["protocols"] {
  const text = (key: string): string | null => {
    const value = memberOf(declared, key);
    return typeof value === "string" ? value : null;
  };
  const protocol = declaredProtocol({ port, name: text("name"), appProtocol: text("appProtocol") });
  if (protocol === null || protocol === "AUTO") return ["http", "tcp"];
  return carriesRequests(protocol) ? ["http"] : ["tcp"];
}

function selects(service: JsonValue, namespace: string, labels: Readonly<Record<string, string>>): boolean {
  const own = valueAt(service, ["metadata", "namespace"]);
  const selector = Object.entries(textsOf(valueAt(service, ["spec", "selector"])));
  const isNear = (typeof own === "string" ? own : NAMESPACE_WHEN_ABSENT) === namespace;
  return isNear && selector.length > 0 && selector.every(([key, value]) => labels[key] === value);
}

function nameOf(object: JsonValue): string {
  const name = valueAt(object, ["metadata", "name"]);
  return typeof name === "string" ? name : "";
}

function withItems(document: JsonValue): readonly JsonValue[] {
  const items = memberOf(document, "items");
  return isJsonList(items) ? items : [document];
}

function itemsAt(value: JsonValue, path: readonly string[]): readonly JsonValue[] {
  const items = valueAt(value, path);
  return isJsonList(items) ? items : [];
}

function textsOf(value: JsonValue | undefined): Readonly<Record<string, string>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return {};
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === "string"),
  );
}
