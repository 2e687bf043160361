import { isAbsolute } from "node:path";
import { parseIp } from "../core/cidr.ts";
import { FLOW_LIMITS } from "../core/flow-limits.ts";
import type { FetchRules } from "../core/guarded-fetch.ts";
import type { OtlpEndpoint } from "../core/otlp-endpoint.ts";
import type { Address, LogLevel } from "../core/ports.ts";
import {
  addFault,
  integer,
  listOf,
  object,
  oneOf,
  parsed,
  required,
  type Schema,
  string,
  withDefault,
} from "../core/schema.ts";
import { DEFAULT_MESH_SETTINGS, type MeshSettings } from "../policy/mesh-settings.ts";
import { GIT_POLICIES, type GitPolicies } from "./git-policies.ts";
import { parseJsonText } from "./json-text.ts";
import { FETCH_RULES, MESH_SETTINGS, OTLP_ENDPOINT } from "./mesh-settings-fields.ts";

/** Bootstrap of the control plane: a JSON file, written by `cardea up`, read once by `cardea control`. */
export interface ControlConfig {
  /** The mesh's name, for people. */
  readonly name: string;
  /** Holds the authority's keys, join tokens, the registry and the policy revisions. Absolute. */
  readonly stateDir: string;
  /** Policy files, in all directories below it. Absolute. */
  readonly policiesDir: string;
  /** A git repository that they come from instead; null: none. */
  readonly policiesGit: GitPolicies | null;
  readonly mesh: MeshSettings;
  /** gRPC: certificates and discovery. */
  readonly listen: Address;
  /** Status and readiness, on a loopback address. */
  readonly admin: Address;
  /** From where keys of token issuers may be fetched. */
  readonly jwks: FetchRules;
  readonly logLevel: LogLevel;
  /** Where sidecars send their flow records, and for how long the store keeps them; null: nowhere. */
  readonly flows: FlowsConfig | null;
  /** Where spans of sidecars are passed on to; null: nowhere, and nobody takes them. */
  readonly traces: OtlpEndpoint | null;
  /** Where Hubble's API answers about them; null: nowhere. */
  readonly hubble: HubbleConfig | null;
  /** The map, for a browser; null: none. Without `flows` there is nothing to show. */
  readonly map: MapConfig | null;
}

export interface HubbleConfig {
  /** Beyond loopback it takes callers with a certificate of the mesh alone. */
  readonly listen: Address;
  /** Names in the certificate that it shows there. */
  readonly dnsNames: readonly string[];
}

/** Beyond loopback the map is served by TLS, to readers with a token. */
export interface MapConfig {
  readonly listen: Address;
  /** PEM files, absolute; null: plain HTTP. */
  readonly tls: { readonly certificateFile: string; readonly keyFile: string } | null;
  /** Empty: whoever is on this machine reads everything. */
  readonly readers: readonly MapReaderConfig[];
}

export interface MapReaderConfig {
  readonly tokenFile: string;
  /** What flows of these namespaces tell, and their policies; null: everything. */
  readonly namespaces: readonly string[] | null;
}

export interface FlowsConfig {
  /** OTLP logs over gRPC. */
  readonly listen: Address;
  readonly retentionMs: number;
  readonly bytesMax: number;
}

const PORT = integer({ min: 0, max: 65_535 });
const DIRECTORY = parsed(string(), (path) => {
  if (!isAbsolute(path)) throw new Error(`expected an absolute path, found ${JSON.stringify(path)}`);
  return path;
});
const IP = parsed(string(), (text) => {
  if (parseIp(text) === null) throw new Error(`expected an IP address, found ${JSON.stringify(text)}`);
  return text;
});
// The admin port has no login: whoever reaches it reads the mesh's status.
const LOOPBACK = parsed(IP, (text) => {
  if (!isLoopback(text)) throw new Error(`expected a loopback address, found ${text}`);
  return text;
});

const FLOWS = object({
  listen: required(object({ host: required(IP), port: required(PORT) })),
  retentionMs: withDefault(integer({ min: 60_000, max: Number.MAX_SAFE_INTEGER }), FLOW_LIMITS.flowStoreRetentionMs),
  bytesMax: withDefault(integer({ min: 1_048_576, max: Number.MAX_SAFE_INTEGER }), FLOW_LIMITS.flowStoreBytesMax),
});

const HUBBLE = object({
  listen: required(object({ host: required(IP), port: required(PORT) })),
  dnsNames: withDefault(listOf(string()), []),
});

const FILE = DIRECTORY;

const MAP_FIELDS = object({
  listen: required(object({ host: required(IP), port: required(PORT) })),
  tls: withDefault(nullable(object({ certificateFile: required(FILE), keyFile: required(FILE) })), null),
  readers: withDefault(
    listOf(
      object({ tokenFile: required(FILE), namespaces: withDefault(nullable(listOf(string(), { minCount: 1 })), null) }),
    ),
    [],
  ),
});

/** What the map tells is worth stealing, and a token that goes over a network in the clear is everybody's. */
const MAP: Schema<MapConfig> = (value, scope) => {
  const map = MAP_FIELDS(value, scope);
  if (map === undefined || isLoopback(map.listen.host) || (map.tls !== null && map.readers.length > 0)) return map;
  return addFault(scope, value.at, "beyond loopback the map needs tls and readers");
};

const CONFIG = object({
  name: required(string()),
  stateDir: required(DIRECTORY),
  policiesDir: required(DIRECTORY),
  policiesGit: withDefault(nullable(GIT_POLICIES), null),
  mesh: withDefault(MESH_SETTINGS, DEFAULT_MESH_SETTINGS),
  listen: required(object({ host: required(IP), port: required(PORT) })),
  admin: required(object({ host: required(LOOPBACK), port: required(PORT) })),
  jwks: FETCH_RULES,
  logLevel: withDefault<LogLevel>(oneOf("debug", "info", "warn", "error"), "info"),
  flows: withDefault(nullable(FLOWS), null),
  traces: withDefault(nullable(OTLP_ENDPOINT), null),
  hubble: withDefault(nullable(HUBBLE), null),
  map: withDefault(nullable(MAP), null),
});

function isLoopback(ip: string): boolean {
  return ip.startsWith("127.") || ip === "::1";
}

/** The schema's value, or a null that is written out. */
function nullable<T>(schema: Schema<T>): Schema<T | null> {
  return (value, scope) => (value.kind === "scalar" && value.value === null ? null : schema(value, scope));
}

/** JSON text → ControlConfig, frozen. Errors: `bad-input`, every fault on a line of its own. */
export function parseControlConfig(text: string, file: string): ControlConfig {
  return Object.freeze(parseJsonText(CONFIG, text, file));
}
