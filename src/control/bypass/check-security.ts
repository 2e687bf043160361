import { type JsonValue, memberOf } from "../../core/json-value.ts";
import { PROXY_ID } from "../inject/names.ts";
import { type BypassFinding, type FieldPath, finding } from "./bypass-finding.ts";
import { appContainersOf, type PlacedContainer, textsOf } from "./pod-view.ts";

/** Under whom the app's containers run, and with which rights. */
export function checkSecurity(pod: JsonValue): readonly BypassFinding[] {
  const ofPod = memberOf(memberOf(pod, "spec"), "securityContext");
  return [
    ...checkGroups(ofPod),
    ...appContainersOf(pod).flatMap((each) => checkContainer(each, ofPod)),
    ...checkIds(ofPod, ["spec", "securityContext"], "the pod"),
  ];
}

/** The rights of one container. */
function checkContainer(placed: PlacedContainer, ofPod: JsonValue | undefined): readonly BypassFinding[] {
  const own = memberOf(placed.container, "securityContext");
  const path = [...placed.path, "securityContext"];
  const whose = `the container ${placed.name}`;
  const isPrivileged = memberOf(own, "privileged") === true;
  return [
    ...(isPrivileged ? [finding("privileged", [...path, "privileged"], whose)] : []),
    ...checkIds(own, path, whose),
    ...checkAdded(own, path, whose),
    ...(isPrivileged ? [] : checkRoot(own, ofPod, placed)),
  ];
}

function checkIds(context: JsonValue | undefined, path: FieldPath, whose: string): readonly BypassFinding[] {
  return ["runAsUser", "runAsGroup"]
    .filter((field) => memberOf(context, field) === PROXY_ID)
    .map((field) => finding("runs-as-proxy", [...path, field], `${whose} runs as ${PROXY_ID}`));
}

function checkGroups(context: JsonValue | undefined): readonly BypassFinding[] {
  const path = ["spec", "securityContext"];
  const groups = memberOf(context, "supplementalGroups");
  const index = Array.isArray(groups) ? groups.indexOf(PROXY_ID) : -1;
  return [
    ...(memberOf(context, "fsGroup") === PROXY_ID
      ? [finding("shares-proxy-group", [...path, "fsGroup"], String(PROXY_ID))]
      : []),
    ...(index >= 0 ? [finding("shares-proxy-group", [...path, "supplementalGroups", index], String(PROXY_ID))] : []),
  ];
}

/** capabilities(7), by what each opens here. */
const CAPABILITIES: ReadonlyMap<string, string> = new Map([
  ["ALL", "every capability, those that rewrite the redirect rules included"],
  ["NET_ADMIN", "it can rewrite the pod's redirect rules"],
  ["NET_RAW", "packet sockets pass beneath the redirect rules"],
  ["SYS_ADMIN", "it can enter other namespaces and mount what it likes"],
  ["SYS_PTRACE", "it can read the memory of every process that it sees, and so the sidecar's keys"],
  ["SYS_MODULE", "it can load code into the node's kernel"],
  ["SYS_RAWIO", "it can read the node's memory"],
  ["BPF", "it can load programs that see or redirect the node's traffic"],
  ["PERFMON", "it can watch the memory of the node's processes"],
  ["DAC_READ_SEARCH", "it can read files of the node by their handles"],
]);

function checkAdded(own: JsonValue | undefined, path: FieldPath, whose: string): readonly BypassFinding[] {
  return textsOf(memberOf(own, "capabilities"), "add").flatMap(([text, index]) => {
    const why = CAPABILITIES.get(capabilityName(text));
    if (why === undefined) return [];
    return [finding("capability", [...path, "capabilities", "add", index], `${text} of ${whose}`, why)];
  });
}

/** What the container runtimes give to root by default, and which of it leads around the sidecar. */
const DEFAULT_WAYS = ["SETUID", "SETGID", "NET_RAW"];

function checkRoot(
  own: JsonValue | undefined,
  ofPod: JsonValue | undefined,
  { path, name }: PlacedContainer,
): readonly BypassFinding[] {
  if (!mayBeRoot(own, ofPod)) return [];
  const capabilities = memberOf(own, "capabilities");
  const dropped = namesIn(capabilities, "drop");
  const added = namesIn(capabilities, "add");
  const left = DEFAULT_WAYS.filter((each) => added.has(each) || !(dropped.has("ALL") || dropped.has(each)));
  // NET_RAW that was asked for by name is told as such.
  const told = left.filter((each) => each !== "NET_RAW" || !added.has("NET_RAW"));
  if (told.length === 0) return [];
  return [finding("root-capabilities", path, `the container ${name} may run as root with ${told.join(", ")}`)];
}

function mayBeRoot(own: JsonValue | undefined, ofPod: JsonValue | undefined): boolean {
  const user = memberOf(own, "runAsUser") ?? memberOf(ofPod, "runAsUser");
  if (typeof user === "number") return user === 0;
  return (memberOf(own, "runAsNonRoot") ?? memberOf(ofPod, "runAsNonRoot")) !== true;
}

function namesIn(capabilities: JsonValue | undefined, key: "add" | "drop"): ReadonlySet<string> {
  return new Set(textsOf(capabilities, key).map(([text]) => capabilityName(text)));
}

/** Runtimes take them in any case, with and without the kernel's prefix. */
function capabilityName(text: string): string {
  return text.toUpperCase().replace(/^CAP_/, "");
}
