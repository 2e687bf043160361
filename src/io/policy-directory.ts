import { extname } from "node:path";
import { CardeaError } from "../core/errors.ts";
import type { Fault } from "../core/located.ts";
import { listFilesBelow, readKind, readText } from "./files.ts";

/** Texts of policy files, and a fault for each that could not be read. */
export interface PolicyTexts {
  readonly files: readonly { readonly path: string; readonly text: string }[];
  readonly faults: readonly Fault[];
  /** What the source itself calls this state of the files; left out: they are called after their content. */
  readonly revision?: string;
}

/** What policy files are called. */
export const POLICY_EXTENSIONS: ReadonlySet<string> = new Set([".yaml", ".yml", ".json"]);

/**
 * Reads the YAML and JSON files named, and those below the directories named, each once and in order of path.
 * Hidden files are left out, and so is what a linked directory holds: a loop of links ends nowhere. What cannot
 * be read is a fault, never skipped: a set that lost a file would be another policy.
 */
export async function readPolicyTexts(paths: readonly string[]): Promise<PolicyTexts> {
  const faults: Fault[] = [];
  const names = new Set<string>();
  for (const path of paths) for (const name of await namesAt(path, faults)) names.add(name);
  const files: { path: string; text: string }[] = [];
  for (const path of [...names].toSorted()) {
    const text = await orFault(path, faults, () => readText(path));
    if (text !== null) files.push({ path, text });
  }
  return { files, faults };
}

async function namesAt(path: string, faults: Fault[]): Promise<readonly string[]> {
  const kind = await orFault(path, faults, () => readKind(path));
  // A file that was named outright is read whatever it is called.
  if (kind !== "directory") return kind === null ? [] : [path];
  const below = await orFault(path, faults, () => listFilesBelow(path));
  if (below === null) return [];
  const policies = below.filter((name) => POLICY_EXTENSIONS.has(extname(name)));
  if (policies.length === 0) faults.push(faultAt(path, "holds no .yaml, .yml or .json file"));
  return policies;
}

async function orFault<T>(path: string, faults: Fault[], read: () => Promise<T>): Promise<T | null> {
  try {
    return await read();
  } catch (thrown) {
    if (!(thrown instanceof CardeaError)) throw thrown;
    // The error's own message begins with the path, which the fault names already.
    faults.push(faultAt(path, thrown.message.replace(`${path} `, "")));
    return null;
  }
}

function faultAt(path: string, message: string): Fault {
  return { file: path, line: null, column: null, field: "", message };
}
