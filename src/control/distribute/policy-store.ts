import type { MeshApi } from "../../api/load.ts";
import {
  NO_DOCUMENTS,
  type PolicyFile,
  type PolicyFiles,
  type PolicyReadings,
  parsePolicyFiles,
} from "../../config/policy-files.ts";
import { toCardeaError } from "../../core/errors.ts";
import { createLatest, type Latest, type LatestSource } from "../../core/latest.ts";
import { LIMITS } from "../../core/limits.ts";
import { type Fault, formatFault } from "../../core/located.ts";
import type { Logger } from "../../core/ports.ts";
import type { MeshSettings } from "../../policy/mesh-settings.ts";
import { createPolicyContent, type PolicyContent } from "./policy-content.ts";
import type { PolicySource } from "./policy-source.ts";
import type { RevisionArchive } from "./revision-archive.ts";
import { createSerialRun } from "./serial-run.ts";

/** The policies of the mesh from files, followed as they change. */
export interface PolicyStore {
  /** The revision in force. Null: there has never been a good one. */
  readonly content: Latest<PolicyContent | null>;
  /** Why the files as they are now are not in force; empty: they are. */
  readonly faults: Latest<readonly Fault[]>;
  close(): void;
}

export interface PolicyStoreOptions {
  readonly source: PolicySource;
  readonly archive: RevisionArchive;
  readonly settings: MeshSettings;
  readonly api: MeshApi;
  readonly logger: Logger;
}

/**
 * Reads the files and watches them. A set with any fault is refused whole and the one before stays in force; at the
 * start that is the last one that the archive has. A directory without policies is a fault as well: it is far more
 * often a mistake than a wish, and what would hold then is the mesh's default action alone.
 */
export async function openPolicyStore(options: PolicyStoreOptions): Promise<PolicyStore> {
  const content = createLatest<PolicyContent | null>(null);
  const faults = createLatest<readonly Fault[]>([]);
  const readings: PolicyReadings = new Map();
  const runs = createSerialRun(() => load({ ...options, readings }, content, faults));
  // First watch, then read: no change falls in between.
  const watching = options.source.watch(() => void runs.request());
  await runs.request();
  if (content.get() === null) await restore(options, content);
  return { content, faults, close: () => watching.close() };
}

async function load(
  options: PolicyStoreOptions & { readonly readings: PolicyReadings },
  content: LatestSource<PolicyContent | null>,
  faults: LatestSource<readonly Fault[]>,
): Promise<void> {
  try {
    const { files, set } = await readPolicies(options.source, options.readings);
    if (set.faults.length > 0) {
      refuse(set.faults, options, faults);
      return;
    }
    const isNew = set.revision !== content.get()?.revision;
    if (isNew) await putInForce(files, set, { options, content });
    else if (faults.get().length > 0) options.logger.log("info", "policies-good-again", { revision: set.revision });
    faults.set([]);
  } catch (thrown) {
    // A fault of ours must not open anything either: it is one more reason to keep what is in force.
    refuse([faultAt(options.source.path, toCardeaError(thrown).message)], options, faults);
  }
}

async function putInForce(
  files: readonly PolicyFile[],
  set: PolicyFiles,
  { options, content }: { options: PolicyStoreOptions; content: LatestSource<PolicyContent | null> },
): Promise<void> {
  const { revision } = set;
  const next = createPolicyContent(set, options.api, content.get());
  await keep(revision, files, options);
  const before = content.get()?.revision ?? null;
  content.set(next);
  tellBreakGlass(set, options.logger);
  const counts = { policies: set.documents.length, trafficRules: set.traffic.length };
  options.logger.log("info", "policies-in-force", { revision, before, ...counts });
}

/** Whatever may be opened for an emergency is said by those who send it, and by the sidecars while it is open. */
function tellBreakGlass({ documents, revision }: PolicyFiles, logger: Logger): void {
  for (const { id, terms } of documents) {
    if (terms === null || !terms.isBreakGlass) continue;
    const { ticket, requestedBy, untilMs } = terms;
    const until = untilMs === null ? null : new Date(untilMs).toISOString();
    logger.log("warn", "break-glass", { policy: id, ticket, requestedBy, until, revision });
  }
}

interface ReadPolicies {
  readonly files: readonly PolicyFile[];
  readonly set: PolicyFiles;
}

/** Whatever cannot be read is a fault like one in a text. */
async function readPolicies(source: PolicySource, readings: PolicyReadings): Promise<ReadPolicies> {
  const { files, faults, revision } = await source.read();
  if (faults.length > 0) return { files: [], set: { ...NO_DOCUMENTS, faults, revision: "" } };
  const set = parsePolicyFiles(files, readings);
  return { files, set: revision === undefined ? set : { ...set, revision } };
}

function faultAt(file: string, message: string): Fault {
  return { file, line: null, column: null, field: "", message };
}

function refuse(found: readonly Fault[], { logger }: PolicyStoreOptions, faults: LatestSource<readonly Fault[]>): void {
  const kept = found.slice(0, LIMITS.policyFaultsKept);
  const before = new Set(faults.get().map(formatFault));
  // The same files read again, after a change elsewhere in the directory, are not news.
  for (const fault of kept) if (!before.has(formatFault(fault))) logger.log("error", "policies-refused", { ...fault });
  faults.set(kept);
}

/** Before it is in force: a denial of the revision must find its texts. A full disk must not keep it from force. */
async function keep(revision: string, files: readonly PolicyFile[], options: PolicyStoreOptions): Promise<void> {
  try {
    await options.archive.save({ revision, settings: options.settings, files });
  } catch (thrown) {
    options.logger.log("error", "revision-not-saved", { revision, error: toCardeaError(thrown).message });
  }
}

/** The start of a control plane while the files are faulty: what was in force goes on, as it would have without the restart. */
async function restore(options: PolicyStoreOptions, content: LatestSource<PolicyContent | null>): Promise<void> {
  const { archive, api, logger } = options;
  try {
    const saved = await archive.newest();
    const set = saved === null ? null : parsePolicyFiles(saved.files);
    if (saved === null || set === null || set.faults.length > 0) return;
    content.set(createPolicyContent({ ...set, revision: saved.revision }, api));
    logger.log("warn", "policies-restored", { revision: saved.revision, policies: set.documents.length });
  } catch (thrown) {
    logger.log("error", "policies-not-restored", { error: toCardeaError(thrown).message });
  }
}
