import { isSameJson, type JsonObject, type JsonValue, memberOf, valueAt } from "../../core/json-value.ts";
import { CONTAINERS, STATUS_ANNOTATION, VOLUMES } from "../inject/names.ts";
import { type BypassFinding, finding } from "./bypass-finding.ts";
import { containersOf, isOurs, itemsOf, type PlacedContainer, wordOf } from "./pod-view.ts";

/**
 * Whether a pod that has been through all webhooks still has what injection puts in. `expected` is the pod as injection
 * would have it; for a pod that runs already, as it was. What webhooks of platforms add to every container (a cloud's
 * identity, resources of a LimitRange) is no fault; what changes who the sidecar is, what it runs or what it trusts is.
 */
export function checkSidecar(pod: JsonValue, expected: JsonValue): readonly BypassFinding[] {
  const ours = containersOf(pod).filter(({ name }) => isOurs(name));
  return [
    ...containersOf(expected)
      .filter(({ name }) => isOurs(name))
      .flatMap((wanted) => checkContainer(wanted, ours)),
    ...checkVolumes(pod, expected),
    ...checkStatus(pod, expected),
  ];
}

function checkContainer(wanted: PlacedContainer, ours: readonly PlacedContainer[]): readonly BypassFinding[] {
  const found = ours.find(({ name, list }) => name === wanted.name && list === wanted.list);
  if (found === undefined)
    return [finding("not-injected", ["spec", wanted.list], `there is no container ${wanted.name}`)];
  const changed = FIELDS.filter((field) => !isSameJson(found.container[field], wanted.container[field]));
  return [
    ...changed.map((field) => finding("sidecar-changed", [...found.path, field], `${field} of ${found.name}`)),
    ...checkEnvironment(found, wanted.container),
    ...checkMounts(found, wanted.container),
  ];
}

/** What makes a container what it is. Resources, probes and messages do not. */
const FIELDS = [
  "image",
  "command",
  "args",
  "workingDir",
  "envFrom",
  "securityContext",
  "restartPolicy",
  "lifecycle",
  "volumeDevices",
] as const;

/** By these the runtime can be told to run other code, trust other roots or write its keys down. */
const RULING_VARIABLES =
  /^(?:NODE_|LD_|GLIBC_|OPENSSL_|SSL|UV_|MALLOC_|CARDEA_|GCONV_|LOCPATH$|TMPDIR$|PATH$|HOME$|BASH_ENV$|ENV$)/;

function checkEnvironment(found: PlacedContainer, wanted: JsonObject): readonly BypassFinding[] {
  const before = variablesOf(wanted);
  const now = variablesOf(found.container);
  const changed = [...now].filter(([name, { value }]) => {
    const old = before.get(name);
    return old === undefined ? RULING_VARIABLES.test(name) : !isSameJson(old.value, value);
  });
  const lost = [...before.keys()].filter((name) => !now.has(name));
  return [
    ...changed.map(([name, { index }]) =>
      finding("sidecar-changed", [...found.path, "env", index], `the variable ${name} of ${found.name}`),
    ),
    ...lost.map((name) =>
      finding("sidecar-changed", [...found.path, "env"], `the variable ${name} of ${found.name} is gone`),
    ),
  ];
}

/** Of two with one name the last counts, as in the container. */
function variablesOf(container: JsonObject) {
  return new Map(
    itemsOf(container, "env").map(([value, index]) => [wordOf(memberOf(value, "name")), { value, index }] as const),
  );
}

/** Where others may add files: what a cloud gives to every container. */
const OPEN_MOUNTS = /^\/(?:var\/run\/secrets|run\/secrets)\/(?!cardea|tokens|kubernetes\.io)[\w./-]+$/;

function checkMounts(found: PlacedContainer, wanted: JsonObject): readonly BypassFinding[] {
  const before = itemsOf(wanted, "volumeMounts").map(([mount]) => mount);
  const now = itemsOf(found.container, "volumeMounts");
  const added = now.filter(([mount]) => !before.some((each) => isSameJson(each, mount)) && !isOpen(mount));
  const lost = before.filter((each) => !now.some(([mount]) => isSameJson(each, mount)));
  return [
    ...added.map(([mount, index]) =>
      finding(
        "sidecar-changed",
        [...found.path, "volumeMounts", index],
        `${wordOf(memberOf(mount, "mountPath"))} of ${found.name}`,
      ),
    ),
    ...lost.map((mount) =>
      finding(
        "sidecar-changed",
        [...found.path, "volumeMounts"],
        `${wordOf(memberOf(mount, "mountPath"))} of ${found.name} is gone or changed`,
      ),
    ),
  ];
}

function isOpen(mount: JsonObject): boolean {
  const path = memberOf(mount, "mountPath");
  return memberOf(mount, "readOnly") === true && typeof path === "string" && OPEN_MOUNTS.test(path);
}

const OUR_VOLUMES: ReadonlySet<string> = new Set(Object.values(VOLUMES));

function checkVolumes(pod: JsonValue, expected: JsonValue): readonly BypassFinding[] {
  const now = itemsOf(memberOf(pod, "spec"), "volumes");
  return itemsOf(memberOf(expected, "spec"), "volumes").flatMap(([wanted]) => {
    const name = memberOf(wanted, "name");
    if (typeof name !== "string" || !OUR_VOLUMES.has(name)) return [];
    const found = now.find(([volume]) => memberOf(volume, "name") === name);
    if (found !== undefined && isSameJson(found[0], wanted)) return [];
    const path = found === undefined ? ["spec", "volumes"] : ["spec", "volumes", found[1]];
    return [finding("sidecar-changed", path, `the volume ${name}`)];
  });
}

/** The record of what is ours: without it the next injection would not know. */
function checkStatus(pod: JsonValue, expected: JsonValue): readonly BypassFinding[] {
  if (isSameJson(statusOf(pod), statusOf(expected))) return [];
  return [finding("sidecar-changed", ["metadata", "annotations", STATUS_ANNOTATION], "the record of what was put in")];
}

function statusOf(pod: JsonValue): JsonValue | undefined {
  return valueAt(pod, ["metadata", "annotations", STATUS_ANNOTATION]);
}

/** Whether a pod has the sidecar's container, whoever put it in. */
export function hasSidecar(pod: JsonValue): boolean {
  return containersOf(pod).some(({ name }) => name === CONTAINERS.proxy);
}
