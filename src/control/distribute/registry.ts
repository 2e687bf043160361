import { CardeaError, toCardeaError } from "../../core/errors.ts";
import { createLatest, type Latest } from "../../core/latest.ts";
import { LIMITS } from "../../core/limits.ts";
import { type Fault, formatFault } from "../../core/located.ts";
import type { Logger } from "../../core/ports.ts";
import { ChangeLog } from "./change-log.ts";
import type { Directory, DirectoryFile } from "./directory.ts";
import {
  changesBetween,
  createRegistryBuilder,
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
  const builder = createRegistryBuilder(options);
  const log = new ChangeLog();
  const withChanges = (built: RegistryContent): RegistryContent => ({
    ...built,
    changedSince: (version) => log.since(Number(version)),
  });
  // It is what there is for good where there are no files: streams ask it what has changed as well.
  const content = createLatest(withChanges(builder.build("0", { services: [], workloads: [] })));
  const faults = createLatest<readonly Fault[]>([]);
  let goodFiles: ReadonlyMap<string, GoodFile> = new Map();

  async function load(): Promise<void> {
    const found: Fault[] = [];
    try {
      goodFiles = mergeFiles(await readFiles(directory), goodFiles, found);
      update(builder.build(String(log.version + 1), joined(goodFiles)));
    } catch (thrown) {
      found.push(faultOf(directory.path, toCardeaError(thrown).message));
    }
    report(found);
  }

  function update(next: RegistryContent): void {
    const changes = changesBetween(content.get(), next);
    if (changes === null) return;
    log.add(changes);
    content.set(withChanges(next));
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
  const unsubscribe = options.plaintext?.subscribe(() => void runs.request());
  await runs.request();
  return {
    content,
    faults,
    close() {
      unsubscribe?.();
      watching.close();
    },
  };
}

/** Errors: `bad-input` when they cannot be listed, or are too many. */
async function readFiles(directory: Directory): Promise<readonly DirectoryFile[]> {
  const files = await directory.read();
  if (files.length <= LIMITS.registryFilesMax) return files;
  throw new CardeaError("bad-input", `more than ${LIMITS.registryFilesMax} files`);
}

/** A file as it was when it was last good. */
interface GoodFile {
  readonly text: string;
  readonly documents: RegistryDocuments;
}

/** Each file's documents: as they are when good, as they were when not, none when another file has their names. */
function mergeFiles(
  files: readonly DirectoryFile[],
  before: ReadonlyMap<string, GoodFile>,
  faults: Fault[],
): ReadonlyMap<string, GoodFile> {
  const good = new Map<string, GoodFile>();
  const owners = new Map<string, string>();
  for (const file of files) {
    const known = before.get(file.path);
    const read = readGood(file, known, faults) ?? known;
    if (read === undefined) continue;
    const names = namesOf(read.documents);
    const taken = names.find((name, index) => owners.has(name) || names.indexOf(name) !== index);
    if (taken === undefined) {
      good.set(file.path, read);
      for (const name of names) owners.set(name, file.path);
    } else
      faults.push(faultOf(file.path, `${taken} is given twice, first in ${owners.get(taken) ?? "this very file"}`));
  }
  return good;
}

function readGood(file: DirectoryFile, known: GoodFile | undefined, faults: Fault[]): GoodFile | null {
  if (file.kind === "text" && file.text === known?.text) return known;
  if (file.kind === "text") {
    const documents = parseRegistryFile(file.text, file.path, faults);
    return documents === null ? null : { text: file.text, documents };
  }
  faults.push(faultOf(file.path, file.error.message));
  return null;
}

function namesOf(documents: RegistryDocuments): string[] {
  const services = documents.services.flatMap(({ namespace, hosts }) =>
    hosts.map((host) => serviceResourceName(namespace, host)),
  );
  return [...services, ...documents.workloads.map(workloadResourceName)];
}

function joined(files: ReadonlyMap<string, GoodFile>): RegistryDocuments {
  const documents = [...files.values()].map((file) => file.documents);
  return {
    services: documents.flatMap(({ services }) => services),
    workloads: documents.flatMap(({ workloads }) => workloads),
  };
}

function faultOf(file: string, message: string): Fault {
  return { file, line: null, column: null, field: "", message };
}
