import type { JsonObject } from "../../core/json-value.ts";
import { POD_PORTS } from "../../core/pod-ports.ts";
import type { PodOptions } from "./annotations.ts";
import { CONTAINERS, PROXY_ID } from "./names.ts";
import { resourcesOf } from "./resources.ts";
import type { InjectSettings } from "./settings.ts";
import { NO_API_TOKEN } from "./sidecar-container.ts";

/** Ports that callers reach directly: the sidecar's own. */
const OWN_PORTS = [POD_PORTS.hbone, POD_PORTS.metrics, POD_PORTS.readiness].join(",");

/**
 * The init container that writes the pod's redirect rules, and ends. Alone of all it needs capabilities, and root to use
 * them: the namespace has to allow Pod Security's `privileged`.
 */
export function redirectContainer(settings: InjectSettings, options: PodOptions): JsonObject {
  return {
    name: CONTAINERS.redirect,
    image: settings.image,
    imagePullPolicy: settings.imagePullPolicy,
    args: redirectArguments(options),
    // The old iptables wants a lock, and this is the one place that can be written to.
    env: [{ name: "XTABLES_LOCKFILE", value: "/dev/shm/cardea-xtables.lock" }],
    resources: resourcesOf(settings.redirectResources),
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { add: ["NET_ADMIN", "NET_RAW"], drop: ["ALL"] },
      privileged: false,
      readOnlyRootFilesystem: true,
      runAsGroup: 0,
      runAsNonRoot: false,
      runAsUser: 0,
      seccompProfile: { type: "RuntimeDefault" },
    },
    terminationMessagePath: "/dev/termination-log",
    terminationMessagePolicy: "FallbackToLogsOnError",
    volumeMounts: [NO_API_TOKEN],
  };
}

function redirectArguments(options: PodOptions): readonly string[] {
  const excludedInbound = [OWN_PORTS, options.excludeInboundPorts ?? ""].filter((ports) => ports !== "").join(",");
  return [
    "redirect",
    `--uid=${PROXY_ID}`,
    `--outbound-port=${POD_PORTS.outbound}`,
    `--inbound-port=${POD_PORTS.inbound}`,
    `--inbound-ports=${starOr(options.inboundPorts)}`,
    `--exclude-inbound-ports=${excludedInbound}`,
    `--outbound-cidrs=${starOr(options.outboundCidrs)}`,
    ...given("outbound-ports", options.outboundPorts),
    ...given("exclude-outbound-ports", options.excludeOutboundPorts),
    ...given("exclude-outbound-cidrs", options.excludeOutboundCidrs),
  ];
}

function starOr(listed: string | null): string {
  return listed === null || listed === "all" ? "*" : listed;
}

function given(flag: string, listed: string | null): readonly string[] {
  return listed === null || listed === "" ? [] : [`--${flag}=${listed}`];
}
