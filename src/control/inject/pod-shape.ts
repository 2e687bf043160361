import { isJsonList, isJsonObject, type JsonObject, type JsonValue, memberOf } from "../../core/json-value.ts";
import { podPortUse } from "../../core/pod-ports.ts";
import { Refused } from "./injection.ts";
import { CONTAINERS, FOREIGN_SIDECARS, nameOf, PROXY_ID, VOLUMES } from "./names.ts";

/** What the decision to inject looks at: labels and annotations, nothing else. */
export interface PodMetadata {
  readonly pod: JsonObject;
  readonly metadata: JsonObject;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** Throws Refused where there is no object, or where its labels and annotations are no texts. */
export function readPodMetadata(pod: JsonValue): PodMetadata {
  if (!isJsonObject(pod)) throw garbage("the pod", "an object");
  const metadata = objectIn(pod, "metadata");
  return { pod, metadata, labels: textsIn(metadata, "labels"), annotations: textsIn(metadata, "annotations") };
}

/** A pod whose lists are lists of objects, each with a name of its own; what else it holds is not looked into. */
export interface PodShape extends PodMetadata {
  readonly spec: JsonObject;
  readonly initContainers: readonly JsonObject[];
  readonly containers: readonly JsonObject[];
  readonly volumes: readonly JsonObject[];
}

/** Throws Refused where the pod is none. The API server would refuse it as well; a file has nobody else. */
export function readPodShape(pod: JsonValue): PodShape {
  const about = readPodMetadata(pod);
  const spec = memberOf(about.pod, "spec");
  if (!isJsonObject(spec)) throw garbage("spec", "an object");
  const containers = listIn(spec, "containers");
  if (containers.length === 0) throw garbage("spec.containers", "at least one container");
  const initContainers = listIn(spec, "initContainers");
  const volumes = listIn(spec, "volumes");
  assertNames("container", [...initContainers, ...containers]);
  assertNames("volume", volumes);
  return { ...about, spec, initContainers, containers, volumes };
}

/** Why a pod that wants to be injected stays as it is, or null. */
export function whyLeft({ annotations, spec }: PodShape): string | null {
  if (Object.hasOwn(annotations, "kubernetes.io/config.mirror")) return "it is the mirror of a static pod";
  if (spec["hostNetwork"] === true) return "it shares its node's network (hostNetwork)";
  return null;
}

/** Which other mesh has its sidecar in the pod, or null. */
export function foreignSidecar({ initContainers, containers }: PodShape): string | null {
  for (const container of [...initContainers, ...containers]) {
    const mesh = FOREIGN_SIDECARS.get(nameOf(container));
    if (mesh !== undefined) return mesh;
  }
  return null;
}

/** Throws Refused where the sidecar could not do its work, or the app would step around it unseen. */
export function assertInjectable({ spec, initContainers, containers, volumes }: PodShape): void {
  const all = [...initContainers, ...containers];
  assertNotTaken("container", all, Object.values(CONTAINERS));
  assertNotTaken("volume", volumes, Object.values(VOLUMES));
  if (memberOf(spec["os"], "name") === "windows") {
    throw new Refused(
      "it is a Windows pod, and the sidecar runs on Linux",
      "opt the pod out: cardea.dev/inject: disabled",
    );
  }
  const podUser = memberOf(spec["securityContext"], "runAsUser");
  for (const container of all) {
    const user = memberOf(container["securityContext"], "runAsUser") ?? podUser;
    if (user === PROXY_ID) {
      throw new Refused(
        `the container ${nameOf(container)} runs as user ${PROXY_ID}, which is the sidecar's: its connections would bypass the mesh`,
        "give it another runAsUser",
      );
    }
    assertPortsFree(container);
  }
}

function assertPortsFree(container: JsonObject): void {
  for (const port of listIn(container, "ports", `of the container ${nameOf(container)}`)) {
    const number = port["containerPort"];
    if (typeof number !== "number") continue;
    const use = podPortUse(number);
    if (use === null) continue;
    throw new Refused(
      `the container ${nameOf(container)} declares port ${number}, which is the sidecar's (${use})`,
      "let the app listen on another port",
    );
  }
}

function assertNotTaken(what: string, items: readonly JsonObject[], ours: readonly string[]): void {
  const taken = items.find((item) => ours.includes(nameOf(item)));
  if (taken === undefined) return;
  throw new Refused(
    `there is a ${what} named ${nameOf(taken)} already, and not by injection`,
    `give it another name, or start from the manifest as it was before injection`,
  );
}

function assertNames(what: string, items: readonly JsonObject[]): void {
  const seen = new Set<string>();
  for (const { name } of items) {
    if (typeof name !== "string" || name === "") throw garbage(`the name of a ${what}`, "a text");
    if (seen.has(name)) throw new Refused(`two ${what}s are named ${name}`, "give one of them another name");
    seen.add(name);
  }
}

function objectIn(parent: JsonObject, key: string): JsonObject {
  const value = memberOf(parent, key) ?? null;
  if (value === null) return {};
  if (!isJsonObject(value)) throw garbage(key, "an object");
  return value;
}

/** Absent and null are the empty list, as the API server has it. */
function listIn(parent: JsonObject, key: string, whose = ""): readonly JsonObject[] {
  const value = memberOf(parent, key) ?? null;
  const at = whose === "" ? `spec.${key}` : `${key} ${whose}`;
  if (value === null) return [];
  if (!isJsonList(value)) throw garbage(at, "a list");
  return value.map((item) => {
    if (!isJsonObject(item)) throw garbage(`an item of ${at}`, "an object");
    return item;
  });
}

function textsIn(metadata: JsonObject, key: string): Readonly<Record<string, string>> {
  const value = memberOf(metadata, key) ?? null;
  if (value === null) return {};
  if (!isJsonObject(value)) throw garbage(`metadata.${key}`, "an object");
  const wrong = Object.entries(value).find(([, each]) => typeof each !== "string");
  if (wrong !== undefined) throw garbage(`metadata.${key}[${JSON.stringify(wrong[0])}]`, "a text, in quotes");
  return value as Readonly<Record<string, string>>;
}

function garbage(what: string, wanted: string): Refused {
  return new Refused(`${what} is not ${wanted}`, "correct the manifest; kubectl apply --dry-run=server says more");
}
