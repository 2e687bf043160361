import { isAbsolute } from "node:path";
import { parseIp } from "../core/cidr.ts";
import type { Address, LogLevel } from "../core/ports.ts";
import { integer, object, oneOf, parsed, required, string, withDefault } from "../core/schema.ts";
import { DEFAULT_MESH_SETTINGS, type MeshSettings } from "../policy/mesh-settings.ts";
import { parseJsonText } from "./json-text.ts";
import { MESH_SETTINGS } from "./mesh-settings-fields.ts";

/** Bootstrap of the control plane: a JSON file, written by `cardea up`, read once by `cardea control`. */
export interface ControlConfig {
  /** The mesh's name, for people. */
  readonly name: string;
  /** Holds the authority's keys, join tokens, the registry and the policy revisions. Absolute. */
  readonly stateDir: string;
  /** Policy files, in all directories below it. Absolute. */
  readonly policiesDir: string;
  readonly mesh: MeshSettings;
  /** gRPC: certificates and discovery. */
  readonly listen: Address;
  /** Status and readiness, on a loopback address. */
  readonly admin: Address;
  readonly logLevel: LogLevel;
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
  if (!text.startsWith("127.") && text !== "::1") throw new Error(`expected a loopback address, found ${text}`);
  return text;
});

const CONFIG = object({
  name: required(string()),
  stateDir: required(DIRECTORY),
  policiesDir: required(DIRECTORY),
  mesh: withDefault(MESH_SETTINGS, DEFAULT_MESH_SETTINGS),
  listen: required(object({ host: required(IP), port: required(PORT) })),
  admin: required(object({ host: required(LOOPBACK), port: required(PORT) })),
  logLevel: withDefault<LogLevel>(oneOf("debug", "info", "warn", "error"), "info"),
});

/** JSON text → ControlConfig, frozen. Errors: `bad-input`, every fault on a line of its own. */
export function parseControlConfig(text: string, file: string): ControlConfig {
  return Object.freeze(parseJsonText(CONFIG, text, file));
}
