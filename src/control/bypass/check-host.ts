import { type JsonValue, memberOf } from "../../core/json-value.ts";
import { type BypassFinding, finding } from "./bypass-finding.ts";
import type { BypassCode } from "./bypass-table.ts";
import { appContainersOf, itemsOf } from "./pod-view.ts";

const SWITCHES = [
  ["hostNetwork", "host-network"],
  ["hostPID", "host-pid"],
  ["hostIPC", "host-ipc"],
  ["shareProcessNamespace", "shared-processes"],
] as const satisfies readonly (readonly [string, BypassCode])[];

/** What a pod shares with its node, and its containers with each other. */
export function checkHost(pod: JsonValue): readonly BypassFinding[] {
  const spec = memberOf(pod, "spec");
  const switches = SWITCHES.filter(([field]) => memberOf(spec, field) === true);
  return [
    ...switches.map(([field, code]) => finding(code, ["spec", field], "true")),
    ...checkHostPorts(pod),
    ...checkHostPaths(spec),
  ];
}

function checkHostPorts(pod: JsonValue): readonly BypassFinding[] {
  return appContainersOf(pod).flatMap(({ container, name, path }) =>
    itemsOf(container, "ports").flatMap(([port, index]) => {
      const hostPort = memberOf(port, "hostPort");
      if (typeof hostPort !== "number" || hostPort === 0) return [];
      return [finding("host-port", [...path, "ports", index, "hostPort"], `${hostPort} of the container ${name}`)];
    }),
  );
}

/** Where the kubelet and container runtimes keep other pods' secrets, and the sockets by which they are told what to do. */
const GUARDED_PATHS = [
  "/proc",
  "/dev/mem",
  "/var/lib/kubelet",
  "/var/lib/containerd",
  "/var/lib/containers",
  "/var/lib/docker",
  "/run/containerd",
  "/run/crio",
  "/run/docker.sock",
  "/run/netns",
  "/etc/kubernetes",
  "/etc/cni",
  "/opt/cni",
];

function checkHostPaths(spec: JsonValue | undefined): readonly BypassFinding[] {
  return itemsOf(spec, "volumes").flatMap(([volume, index]) => {
    const path = memberOf(memberOf(volume, "hostPath"), "path");
    if (typeof path !== "string" || !isGuarded(path)) return [];
    return [finding("host-path", ["spec", "volumes", index, "hostPath", "path"], path.slice(0, 200))];
  });
}

/** Within one of them, or above it. */
function isGuarded(path: string): boolean {
  const plain = normalize(path);
  return GUARDED_PATHS.some((guarded) => isBelow(guarded, plain) || isBelow(plain, guarded));
}

function isBelow(path: string, directory: string): boolean {
  return directory === "/" || path === directory || path.startsWith(`${directory}/`);
}

/** /var/run is /run on every distribution of today. A `..` is refused by the API server. */
function normalize(path: string): string {
  const steps = path.split("/").filter((step) => step !== "" && step !== ".");
  const plain = `/${steps.join("/")}`;
  return isBelow(plain, "/var/run") ? plain.slice("/var".length) : plain;
}
