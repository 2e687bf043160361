import { PROBE_TIMEOUT_SEC } from "../../config/app-probes.ts";
import type { KeptProbe } from "../../config/pod-variables.ts";
import { isJsonObject, type JsonObject, type JsonValue, memberOf, withoutKey } from "../../core/json-value.ts";
import { POD_PORTS } from "../../core/pod-ports.ts";
import { Refused } from "./injection.ts";
import { nameOf } from "./names.ts";

/** Whether what comes to a port of the pod goes through the sidecar, so that the kubelet cannot reach it. */
export type IsCaptured = (port: number) => boolean;

/** Where the sidecar answers → what the manifest had there. */
export type KeptProbes = Readonly<Record<string, KeptProbe>>;

const KINDS = { livenessProbe: "livez", readinessProbe: "readyz", startupProbe: "startupz" } as const;
const HANDLERS = ["httpGet", "tcpSocket", "grpc", "exec"] as const;

/**
 * A container whose probes of captured ports ask the sidecar instead, and what they asked before; every other field of a
 * probe stays. Probes by command need no network, and those that name another host do not come here.
 */
export function takeOverProbes(container: JsonObject, isCaptured: IsCaptured): [JsonObject, KeptProbes] {
  let taken = container;
  const kept: Record<string, KeptProbe> = {};
  for (const [kind, word] of Object.entries(KINDS)) {
    const probe = memberOf(container, kind);
    const found = isJsonObject(probe) ? readCapturedHandler(container, probe, isCaptured) : null;
    if (found === null || !isJsonObject(probe)) continue;
    const path = `/app-health/${encodeURIComponent(nameOf(container))}/${word}`;
    const timeout = probe["timeoutSeconds"];
    kept[path] = { ...found, timeoutSeconds: typeof timeout === "number" ? timeout : PROBE_TIMEOUT_SEC };
    const rest = Object.keys(found.handler).reduce(withoutKey, probe);
    taken = { ...taken, [kind]: { ...rest, httpGet: askSidecar(path) } };
  }
  return [taken, kept];
}

/** The container as it was before takeOverProbes. A probe that somebody has changed since then stays as it is. */
export function giveBackProbes(container: JsonObject, kept: KeptProbes): JsonObject {
  let given = container;
  for (const kind of Object.keys(KINDS)) {
    const probe = memberOf(container, kind);
    const httpGet = memberOf(probe, "httpGet");
    const path = memberOf(httpGet, "path");
    if (!isJsonObject(probe) || typeof path !== "string" || !Object.hasOwn(kept, path)) continue;
    if (memberOf(httpGet, "port") !== POD_PORTS.metrics) continue;
    given = { ...given, [kind]: { ...withoutKey(probe, "httpGet"), ...kept[path]!.handler } };
  }
  return given;
}

/**
 * Throws Refused where the kubelet calls a captured port by a lifecycle hook: it has no certificate, and to offer the hook
 * on a port without a login, as a probe is, would let anybody call it.
 */
export function assertHooksReachable(container: JsonObject, isCaptured: IsCaptured): void {
  for (const hook of ["postStart", "preStop"]) {
    const handler = memberOf(memberOf(container, "lifecycle"), hook);
    const found = isJsonObject(handler) ? readCapturedHandler(container, handler, isCaptured) : null;
    if (found === null || !Object.hasOwn(found.handler, "httpGet")) continue;
    throw new Refused(
      `the container ${nameOf(container)} has a ${hook} hook by httpGet on port ${found.port}, which takes mutual TLS alone`,
      `make it an exec hook, or let the port bypass the sidecar: cardea.dev/exclude-inbound-ports: "${found.port}"`,
    );
  }
}

interface CapturedHandler {
  readonly handler: JsonObject;
  readonly port: number;
}

/** The one handler of a probe or hook, when it is by network to a captured port of the pod; else null. */
function readCapturedHandler(container: JsonObject, probe: JsonObject, isCaptured: IsCaptured): CapturedHandler | null {
  const given = HANDLERS.filter((name) => (memberOf(probe, name) ?? null) !== null);
  const [name] = given;
  // The API server refuses several; which of them is meant is not ours to guess.
  if (given.length !== 1 || name === undefined || name === "exec") return null;
  const about = probe[name];
  const host = memberOf(about, "host");
  if (typeof host === "string" && host !== "") return null;
  const port = resolvePort(container, memberOf(about, "port"));
  if (port === null || !isCaptured(port)) return null;
  return { handler: { [name]: about ?? null }, port };
}

/** A number, or the name of one of the container's ports. */
function resolvePort(container: JsonObject, port: JsonValue | undefined): number | null {
  if (typeof port === "number") return port;
  const ports = container["ports"];
  if (typeof port !== "string" || !Array.isArray(ports)) return null;
  // A number in quotes is a number to Kubernetes, too.
  if (/^\d{1,5}$/.test(port)) return Number(port);
  const named = (ports as readonly JsonValue[]).find((each) => memberOf(each, "name") === port);
  const number = memberOf(named, "containerPort");
  return typeof number === "number" ? number : null;
}

function askSidecar(path: string): JsonObject {
  return { path, port: POD_PORTS.metrics, scheme: "HTTP" };
}
