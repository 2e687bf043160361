import { join } from "node:path";
import type { TracingConfig } from "../config/proxy-config.ts";
import { CardeaError } from "../core/errors.ts";
import type { PortProtocol } from "../core/port-protocol.ts";
import type { Address } from "../core/ports.ts";
import type { SpiffeId, TrustDomain } from "../core/spiffe-id.ts";
import type { ProcessName } from "../io/child-processes.ts";
import { atomicWrite, listFiles, readTextIfPresent } from "../io/files.ts";
import type { StatePaths } from "./state-dir.ts";

/** run.json: what runs, and where. Written by `up` whenever a process comes or goes; everybody else reads. */
export interface RunFile {
  readonly mesh: string;
  readonly meshFile: string;
  readonly policiesDirectory: string;
  readonly startedAt: string;
  readonly trustDomain: TrustDomain;
  readonly certTtlSec: number;
  readonly protocolDetectionTimeoutMs: number;
  /** As sidecars are told of it. */
  readonly tracing: TracingConfig | null;
  /** Of flows that were simply allowed, the store is sent one in so many. */
  readonly flowSampleOneIn: number;
  /** First of the mesh's ports, where none was in the way. */
  readonly portBase: number;
  /** Null once it has ended in good order. */
  readonly up: ProcessName | null;
  readonly control: {
    readonly address: Address;
    readonly admin: Address;
    /** Where sidecars send their flow records; null: nowhere. */
    readonly flows: Address | null;
    /** Where Hubble's clients read them; null: nowhere. */
    readonly hubble: Address | null;
    /** Where a browser finds the map; null: nowhere. */
    readonly map: Address | null;
    /** What it proves to its callers. */
    readonly spiffeId: SpiffeId;
    readonly process: ProcessName | null;
  };
  readonly services: readonly RunningService[];
}

/** One service of the mesh file, or one that `cardea run` has brought in (joined/<namespace>.<name>.json). */
export interface RunningService {
  readonly name: string;
  readonly namespace: string;
  readonly principal: SpiffeId;
  readonly outbound: Address;
  readonly upstreams: readonly { readonly name: string; readonly service: string; readonly listen: Address }[];
  readonly inbound: readonly {
    readonly port: number;
    readonly protocol: PortProtocol;
    readonly listen: Address;
    readonly app: Address;
  }[];
  readonly hbone: Address | null;
  readonly admin: Address;
  readonly metrics: Address;
  readonly readiness: Address;
  readonly flowFile: string;
  readonly sidecar: ProcessName | null;
  /** Null: the app is not ours, or not running. */
  readonly app: ProcessName | null;
  /** The `cardea run` that looks after this service; null for those of `up`. */
  readonly runner: ProcessName | null;
}

/** Errors: `bad-input`. */
export async function writeRunFile(paths: StatePaths, run: RunFile): Promise<void> {
  await atomicWrite(paths.runFile, `${JSON.stringify(run, null, 2)}\n`, 0o600);
}

/** What runs, or null when nothing ever has in this directory. Errors: `bad-input` when the file is damaged. */
export async function readRunFile(paths: StatePaths): Promise<RunFile | null> {
  const text = await readTextIfPresent(paths.runFile);
  if (text === null) return null;
  const run = parseJson(paths.runFile, text);
  if (!isA<RunFile>(run, "services")) throw new CardeaError("bad-input", `${paths.runFile} is damaged`);
  return run;
}

/** Says that a service has been brought in. Errors: `bad-input`. */
export async function writeJoinedService(paths: StatePaths, service: RunningService): Promise<void> {
  const path = join(paths.joined, `${service.namespace}.${service.name}.json`);
  await atomicWrite(path, `${JSON.stringify(service, null, 2)}\n`, 0o600);
}

/** The services that `cardea run` has brought in. Errors: `bad-input`. */
export async function readJoinedServices(paths: StatePaths): Promise<readonly RunningService[]> {
  const names = await listFiles(paths.joined);
  const found = await Promise.all(names.map((name) => readJoinedService(join(paths.joined, name))));
  return found.filter((service) => service !== null);
}

async function readJoinedService(path: string): Promise<RunningService | null> {
  const text = await readTextIfPresent(path);
  if (text === null) return null;
  const service = parseJson(path, text);
  if (!isA<RunningService>(service, "principal")) throw new CardeaError("bad-input", `${path} is damaged`);
  return service;
}

function parseJson(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new CardeaError("bad-input", `${path} is damaged: ${String(error)}`, error);
  }
}

/** The files are ours and closed to others, so their kind is all that needs a look. */
function isA<T extends object>(value: unknown, mark: keyof T & string): value is T {
  return typeof value === "object" && value !== null && mark in value;
}
