import { CardeaError, toCardeaError } from "../../core/errors.ts";
import { createLatest, type Latest } from "../../core/latest.ts";
import { LIMITS } from "../../core/limits.ts";
import { type Fault, formatFault } from "../../core/located.ts";
import type { Logger } from "../../core/ports.ts";
import type { Directory, DirectoryFile } from "./directory.ts";
import {
  createRegistryContent,
  type RegistryContent,
  type RegistryContext,
  serviceResourceName,
  workloadResourceName,
} from "./registry-content.ts";
import { parseRegistryFile, type RegistryDocuments } from "./registry-documents.ts";
import { createSerialRun } from "./serial-run.ts";

/** The local registry: services and workloads from files, followed as they change. */
export interface Registry {
  readonly content: Latest<RegistryContent>;
  /** What is wrong with the files now. A faulty file counts as it last was when it was good. */
  readonly faults: Latest<readonly Fault[]>;
  close(): void;
}

interface RegistryOptions extends RegistryContext {
  readonly directory: Directory;
  readonly logger: Logger;
}

/** Reads the directory and watches it. A bad file is named and the rest stays; a directory that has gone changes nothing. */
export async function openRegistry(options: RegistryOptions): Promise<Registry> {
  const { directory, logger } = options;
  const content = createLatest(createRegistryContent("0", { services: [], workloads: [] }, options));
  const faults = createLatest<readonly Fault[]>([]);
  let goodFiles: ReadonlyMap<string, RegistryDocuments> = new Map();
  let changes = 0;

  async function load(): Promise<void> {
    const found: Fault[] = [];
    try {
      goodFiles = mergeFiles(await readFiles(directory), goodFiles, found);
      update(createRegistryContent(String(changes + 1), joined(goodFiles), options));
    } catch (thrown) {
      found.push(faultOf(directory.path, toCardeaError(thrown).message));
    }
    report(found);
  }

  function update(next: RegistryContent): void {
    if (isSame(content.get(), next)) return;
    changes += 1;
    content.set(next);
    logger.log("info", "registry-changed", { services: next.serviceCount, workloads: next.workloads.length });
  }

  function report(found: readonly Fault[]): void {
    const before = new Set(faults.get().map(formatFault));
    for (const text of found.map(formatFault))
      if (!before.has(text)) logger.log("error", "registry-refused", { fault: text });
    faults.set(found);
  }

  const runs = createSerialRun(load);
  // First watch, then read: no change falls in between.
  const watching = directory.watch(() => void runs.request());
  await runs.request();
  return { content, faults, close: () => watching.close() };
}

/** Errors: `bad-input` when they cannot be listed, or are too many. */
async function readFiles(directory: Directory): Promise<readonly DirectoryFile[]> {
  const files = await directory.read();
  if (files.length <= LIMITS.registryFilesMax) return files;
  throw new CardeaError("bad-input", `more than ${LIMITS.registryFilesMax} files`);
}

/** Each file's documents: as they are when good, as they were when not, none when another file has their names. */
function mergeFiles(
  files: readonly DirectoryFile[],
  before: ReadonlyMap<string, RegistryDocuments>,
  faults: Fault[],
): ReadonlyMap<string, RegistryDocuments> {
  const good = new Map<string, RegistryDocuments>();
  const owners = new Map<string, string>();
  for (const file of files) {
    const documents = readDocuments(file, faults) ?? before.get(file.path);
    if (documents === undefined) continue;
    const names = namesOf(documents);
    const taken = names.find((name, index) => owners.has(name) || names.indexOf(name) !== index);
    if (taken === undefined) {
      good.set(file.path, documents);
      for (const name of names) owners.set(name, file.path);
    } else
      faults.push(faultOf(file.path, `${taken} is given twice, first in ${owners.get(taken) ?? "this very file"}`));
  }
  return good;
}

function readDocuments(file: DirectoryFile, faults: Fault[]): RegistryDocuments | null {
  if (file.kind === "text") return parseRegistryFile(file.text, file.path, faults);
  faults.push(faultOf(file.path, file.error.message));
  return null;
}

function namesOf(documents: RegistryDocuments): string[] {
  const services = documents.services.flatMap(({ namespace, hosts }) =>
    hosts.map((host) => serviceResourceName(namespace, host)),
  );
  return [...services, ...documents.workloads.map(workloadResourceName)];
}

function joined(files: ReadonlyMap<string, RegistryDocuments>): RegistryDocuments {
  const documents = [...files.values()];
  return {
    services: documents.flatMap(({ services }) => services),
    workloads: documents.flatMap(({ workloads }) => workloads),
  };
}

/** Labels are not part of the resources, but decide which policies a sidecar gets. */
function isSame(left: RegistryContent, right: RegistryContent): boolean {
  return fingerprint(left) === fingerprint(right);
}

function fingerprint({ resources, workloads }: RegistryContent): string {
  return JSON.stringify([[...resources.values()].map(({ name, version }) => [name, version]), workloads]);
}

function faultOf(file: string, message: string): Fault {
  return { file, line: null, column: null, field: "", message };
}
