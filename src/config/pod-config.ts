import type { AppProbe } from "../core/app-probe.ts";
import { parseIp } from "../core/cidr.ts";
import { LIMITS } from "../core/limits.ts";
import { CardeaError, toCardeaError } from "../core/errors.ts";
import { POD_PORTS } from "../core/pod-ports.ts";
import { declaredProtocol } from "../core/port-protocol.ts";
import { parsePortRanges } from "../core/port-range.ts";
import type { Address, LogLevel } from "../core/ports.ts";
import { parseSpiffeId, parseTrustDomain } from "../core/spiffe-id.ts";
import { fitsUnixSocket, UNIX_PATH_BYTES_MAX } from "../core/unix-path.ts";
import { parseAppProbes } from "./app-probes.ts";
import { POD_FILES, POD_VARIABLES, type PodVariableName } from "./pod-variables.ts";
import type { ProxyConfig, RedirectConfig } from "./proxy-config.ts";

/** What a sidecar in a pod is told: its bootstrap, and the app's probes that it makes. */
export interface PodConfig {
  readonly proxy: ProxyConfig;
  readonly probes: readonly AppProbe[];
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The environment of an injected container and its labels file → PodConfig, frozen. Errors: `bad-input`, every fault on a
 * line of its own, by the name of its variable.
 */
export function parsePodConfig(env: Environment, labelsText: string): PodConfig {
  const faults: string[] = [];
  const read = createReader(env, faults);
  const podIps = read("podIps", parsePodIps);
  const ports = read("ports", parsePorts);
  const opaquePorts = read("opaquePorts", parsePortRanges);
  const probes = read("probes", (text) => parseAppProbes(text, POD_VARIABLES.probes.name));
  const fields = {
    name: read("podName", parseText),
    namespace: read("namespace", parseText),
    serviceAccount: read("serviceAccount", parseText),
    trustDomain: read("trustDomain", parseTrustDomain),
    labels: attempt(() => parseLabels(labelsText), POD_FILES.labels, faults),
    controlAddress: read("controlAddress", parseHostPort),
    controlId: read("controlId", parseSpiffeId),
    sampleOneIn: read("flowSampleOneIn", (text) => Math.max(1, parseWhole(text, LIMITS.flowSampledFromMax))),
    flowAddress: read("flowCollector", (text) => (text === "" ? null : parseHostPort(text))),
    logLevel: read("logLevel", parseLogLevel),
    drainTimeoutMs: read("drainTimeoutSec", (text) => parseWhole(text, 600) * 1_000),
    drainDelayMs: read("drainDelaySec", (text) => parseWhole(text, 600) * 1_000),
    certTtlSec: read("certTtlSec", (text) => parseWhole(text, 86_400)),
    protocolDetectionTimeoutMs: read("protocolDetectionMs", (text) => parseWhole(text, 60_000)),
    workloadSocket: read("workloadSocket", parseWorkloadSocket),
  };
  if (faults.length > 0) throw new CardeaError("bad-input", faults.join("\n"));
  const { controlAddress, controlId, flowAddress, sampleOneIn, ...plain } = valuesOf(fields);
  const proxy: ProxyConfig = {
    ...plain,
    control: { address: controlAddress, spiffeId: controlId, rootFile: POD_FILES.root },
    joinTokenFile: POD_FILES.token,
    ...addressesOf(podIps!, ports!, opaquePorts!),
    upstreams: [],
    inbound: [],
    flowFile: null,
    // A pod has no disk of its own to put denials on while the collector is away: they have memory alone.
    flowCollector: flowAddress && { address: flowAddress, spillFile: null, sampleOneIn },
    tracing: null,
    ownPorts: Object.values(POD_PORTS),
    egress: "REGISTRY_ONLY",
    enforcement: null,
  };
  return Object.freeze({ proxy: Object.freeze(proxy), probes: probes! });
}

type Read = <T>(name: PodVariableName, parse: (text: string) => T) => T | undefined;

function createReader(env: Environment, faults: string[]): Read {
  return (key, parse) => {
    const { name, whenAbsent } = POD_VARIABLES[key];
    const text = env[name] ?? whenAbsent;
    if (text !== null) return attempt(() => parse(text), name, faults);
    faults.push(`${name}: is not set; without it, say --config FILE`);
    return undefined;
  };
}

function attempt<T>(parse: () => T, what: string, faults: string[]): T | undefined {
  try {
    return parse();
  } catch (thrown) {
    const { message } = toCardeaError(thrown);
    faults.push(message.startsWith(what) ? message : `${what}: ${message}`);
    return undefined;
  }
}

/** No fault was added, so every field has been read. */
function valuesOf<T extends object>(fields: T): { readonly [K in keyof T]: Exclude<T[K], undefined> } {
  return fields as { readonly [K in keyof T]: Exclude<T[K], undefined> };
}

type Ports = RedirectConfig["ports"];

/** Loopback for what has no login; everything else on all addresses, of both families where the pod has both. */
function addressesOf(podIps: readonly string[], ports: Ports, opaquePorts: RedirectConfig["opaquePorts"]) {
  const any = podIps.some((ip) => ip.includes(":")) ? "::" : "0.0.0.0";
  const loopback = podIps.every((ip) => ip.includes(":")) ? "::1" : "127.0.0.1";
  return {
    outbound: { host: loopback, port: POD_PORTS.forwardProxy },
    hbone: { host: any, port: POD_PORTS.hbone },
    admin: { host: loopback, port: POD_PORTS.admin },
    metrics: { host: any, port: POD_PORTS.metrics },
    readiness: { host: any, port: POD_PORTS.readiness },
    redirect: {
      outbound: { host: any, port: POD_PORTS.outbound },
      inbound: { host: any, port: POD_PORTS.inbound },
      podIps,
      ports,
      opaquePorts,
    },
  };
}

function parseText(text: string): string {
  if (text === "") throw new Error("must not be empty");
  return text;
}

/** Containers run as users of their own choice; that they mount the directory is what lets them in. */
function parseWorkloadSocket(text: string): ProxyConfig["workloadSocket"] {
  if (text === "") return null;
  if (!text.startsWith("/")) throw new Error(`expected an absolute path, found ${JSON.stringify(text)}`);
  if (!fitsUnixSocket(text)) throw new Error(`a socket's path has ${UNIX_PATH_BYTES_MAX} bytes at most`);
  return { file: text, access: "everyone" };
}

function parsePodIps(text: string): readonly string[] {
  const ips = text.split(",").map((ip) => ip.trim());
  const wrong = ips.find((ip) => parseIp(ip) === null);
  if (wrong !== undefined)
    throw new Error(`expected IP addresses, separated by commas, found ${JSON.stringify(wrong)}`);
  return ips;
}

/** `8080/http-web,9090`; what a name says is read as everywhere else, and UDP is not carried. */
function parsePorts(text: string): Ports {
  if (text === "") return [];
  return text.split(",").flatMap((word) => {
    const match = /^(\d{1,5})(?:\/([a-z0-9-]{1,63}))?$/.exec(word);
    const port = Number(match?.[1]);
    if (match === null || port < 1 || port > 65_535)
      throw new Error(`expected ports like 8080/http-web, separated by commas, found ${JSON.stringify(word)}`);
    const protocol = declaredProtocol({ port, name: match[2] ?? null, appProtocol: null });
    return protocol === null ? [] : [{ port, protocol }];
  });
}

function parseHostPort(text: string): Address {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port < 1 || port > 65_535) throw new Error(`expected host:port, found ${JSON.stringify(text)}`);
  return { host: match[1] ?? match[2]!, port };
}

function parseLogLevel(text: string): LogLevel {
  const levels = ["debug", "info", "warn", "error"] as const;
  const level = levels.find((each) => each === text);
  if (level === undefined) throw new Error(`expected one of ${levels.join(", ")}, found ${JSON.stringify(text)}`);
  return level;
}

function parseWhole(text: string, max: number): number {
  const number = Number(text);
  if (!/^\d{1,6}$/.test(text) || number > max)
    throw new Error(`expected a whole number up to ${max}, found ${JSON.stringify(text)}`);
  return number;
}

/** The downward API's form: a line `key="value"` for each, the value quoted as Go quotes it. */
function parseLabels(text: string): Readonly<Record<string, string>> {
  const lines = text.split("\n").filter((line) => line !== "");
  return Object.freeze(
    Object.fromEntries(
      lines.map((line) => {
        const match = /^([^=]+)=("[^"\\]*")$/.exec(line);
        if (match === null)
          throw new Error(`expected lines like app="web", found ${JSON.stringify(line.slice(0, 80))}`);
        return [match[1]!, match[2]!.slice(1, -1)];
      }),
    ),
  );
}
