import { listOf, object, required, string } from "../core/schema.ts";
import type { MeshSettings } from "../policy/mesh-settings.ts";
import { parseJsonText } from "./json-text.ts";
import { MESH_SETTINGS } from "./mesh-settings-fields.ts";

/** A policy revision as it was in force: enough to make, and to explain, its decisions again. */
export interface RevisionFile {
  readonly revision: string;
  readonly settings: MeshSettings;
  /** The policy files as they were, with the paths that faults and explanations name. */
  readonly files: readonly PolicyText[];
}

export interface PolicyText {
  readonly path: string;
  readonly text: string;
}

/** A revision's file name in the state's `revisions` directory. */
export function revisionFileName(revision: string): string {
  return `${revision}.json`;
}

export function formatRevisionFile(file: RevisionFile): string {
  return `${JSON.stringify(file)}\n`;
}

const REVISION_FILE = object({
  revision: required(string()),
  settings: required(MESH_SETTINGS),
  files: required(listOf(object({ path: required(string()), text: required(string({ allowEmpty: true })) }))),
});

/** Errors: `bad-input`. */
export function parseRevisionFile(text: string, file: string): RevisionFile {
  return parseJsonText(REVISION_FILE, text, file);
}
