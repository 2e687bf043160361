import { CardeaError } from "../core/errors.ts";
import { type Fault, formatFault } from "../core/located.ts";
import type { FetchRules } from "../core/guarded-fetch.ts";
import type { Address, LogLevel } from "../core/ports.ts";
import { NAMESPACE } from "../core/object-metadata.ts";
import {
  boolean,
  integer,
  listOf,
  object,
  oneOf,
  optional,
  parsed,
  required,
  string,
  withDefault,
} from "../core/schema.ts";
import { parseIp } from "../core/cidr.ts";
import { FLOW_LIMITS } from "../core/flow-limits.ts";
import { DEFAULT_MESH_SETTINGS, type MeshSettings } from "../policy/mesh-settings.ts";
import type { FlowsConfig } from "./control-config.ts";
import { FETCH_RULES, MESH_SETTINGS } from "./mesh-settings-fields.ts";
import { parseYaml } from "./yaml.ts";

/** The control plane in a cluster: a file that a ConfigMap brings, and what the pod knows of itself. */
export interface KubeControlConfig {
  /** The mesh's name, for people. */
  readonly name: string;
  readonly mesh: MeshSettings;
  /** e.g. `cluster.local`. */
  readonly clusterDomain: string;
  /** What tokens of service accounts must be made for. */
  readonly audience: string;
  /** Of this replica: its pod's name. */
  readonly replica: string;
  /** gRPC: certificates and discovery. */
  readonly listen: Address;
  /** Status, on a loopback address. */
  readonly admin: Address;
  /** Metrics and readiness, for Prometheus and the kubelet. */
  readonly telemetry: Address;
  /** Webhooks, for the API server. */
  readonly webhooks: Address;
  /** Names by which the API server calls the webhooks besides the Service's: of a control plane outside of its cluster. */
  readonly webhookNames: readonly string[];
  /** Of this installation, where there are several; null: the one for namespaces without `cardea.dev/rev`. */
  readonly revision: string | null;
  /** The revisions whose namespaces send us their pods: our own, and null if the default is ours. */
  readonly serves: readonly (string | null)[];
  /** Whether pods that go around the mesh are refused, in namespaces that do not say. */
  readonly bypassChecks: "audit" | "enforce";
  /** From where keys of token issuers may be fetched. */
  readonly jwks: FetchRules;
  readonly logLevel: LogLevel;
  /** Where sidecars send their flow records, and where this replica keeps them; null: nowhere. */
  readonly flows: KubeFlowsConfig | null;
}

export interface KubeFlowsConfig extends FlowsConfig {
  /** Of the replica's own: an emptyDir. */
  readonly directory: string;
}

/** OTLP over gRPC has this port everywhere. */
export const FLOWS_PORT = 4_317;

/** Where a replica's store is mounted. */
export const FLOWS_DIRECTORY = "/var/lib/cardea/flows";

/** The audience of the tokens that sidecars join with. */
export const TOKEN_AUDIENCE = "cardea";

type Environment = Readonly<Record<string, string | undefined>>;

const PORT = integer({ min: 0, max: 65_535 });
const IP = parsed(string(), (text) => {
  if (parseIp(text) === null) throw new Error(`expected an IP address, found ${JSON.stringify(text)}`);
  return text;
});
// The admin port has no login: whoever reaches it reads the mesh's status.
const LOOPBACK = parsed(IP, (text) => {
  if (!text.startsWith("127.") && text !== "::1") throw new Error(`expected a loopback address, found ${text}`);
  return text;
});

const DNS_NAME = parsed(string(), (text) => {
  if (!/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/.test(text) || text.length > 253)
    throw new Error(`expected a DNS name in small letters, found ${JSON.stringify(text)}`);
  return text;
});

const FLOWS = object({
  listen: withDefault(object({ host: required(IP), port: required(PORT) }), { host: "::", port: FLOWS_PORT }),
  directory: withDefault(string(), FLOWS_DIRECTORY),
  retentionMs: withDefault(integer({ min: 60_000, max: Number.MAX_SAFE_INTEGER }), FLOW_LIMITS.flowStoreRetentionMs),
  bytesMax: withDefault(integer({ min: 1_048_576, max: Number.MAX_SAFE_INTEGER }), FLOW_LIMITS.flowStoreBytesMax),
});

const CONFIG = object({
  name: withDefault(string(), "kubernetes"),
  mesh: optional(MESH_SETTINGS),
  clusterDomain: withDefault(string(), "cluster.local"),
  audience: withDefault(string(), TOKEN_AUDIENCE),
  listen: withDefault(object({ host: required(IP), port: required(PORT) }), { host: "::", port: 15_012 }),
  admin: withDefault(object({ host: required(LOOPBACK), port: required(PORT) }), { host: "127.0.0.1", port: 15_000 }),
  telemetry: withDefault(object({ host: required(IP), port: required(PORT) }), { host: "::", port: 15_014 }),
  webhooks: withDefault(object({ host: required(IP), port: required(PORT) }), { host: "::", port: 15_017 }),
  webhookNames: withDefault(listOf(DNS_NAME), []),
  revision: optional(NAMESPACE),
  servesDefault: optional(boolean()),
  bypassChecks: withDefault(oneOf("audit", "enforce"), "audit"),
  jwks: FETCH_RULES,
  logLevel: withDefault<LogLevel>(oneOf("debug", "info", "warn", "error"), "info"),
  flows: optional(FLOWS),
});

/**
 * The file's text (null: there is none, and the defaults hold) with CARDEA_POD_NAME and CARDEA_POD_NAMESPACE of the downward API.
 * Errors: `bad-input`, every fault on a line of its own.
 */
export function parseKubeControlConfig(text: string | null, file: string, env: Environment): KubeControlConfig {
  const faults: Fault[] = [];
  const [document] = text === null ? [] : parseYaml(text, file, faults);
  const empty = { kind: "map", at: null, entries: [] } as const;
  const read = CONFIG(document ?? empty, { file, field: "", faults });
  if (read === undefined || faults.length > 0) throw new CardeaError("bad-input", faults.map(formatFault).join("\n"));
  const mesh = read.mesh ?? { ...DEFAULT_MESH_SETTINGS, rootNamespace: namespaceOf(env) };
  const namespace = namespaceOf(env);
  if (mesh.rootNamespace !== namespace)
    throw new CardeaError(
      "bad-input",
      `mesh.rootNamespace is ${mesh.rootNamespace}, and we run in ${namespace}: sidecars expect us in the root namespace`,
    );
  const { servesDefault, ...settings } = read;
  const { revision } = settings;
  const serves = revision === null ? [null] : servesDefault === true ? [revision, null] : [revision];
  return Object.freeze({
    ...settings,
    serves,
    mesh,
    replica: env["CARDEA_POD_NAME"] || env["HOSTNAME"] || "cardea-control",
  });
}

function namespaceOf(env: Environment): string {
  return env["CARDEA_POD_NAMESPACE"] || DEFAULT_MESH_SETTINGS.rootNamespace;
}
