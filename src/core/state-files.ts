/**
 * The files in which a control plane keeps what must outlive it: keys of the authority, join tokens. Paths are
 * relative to the state directory, with `/` between names. io/state-files.ts has the real one.
 * Errors of all calls: `bad-input` with the reason when the state is not usable (permissions, a full disk).
 */
export interface StateFiles {
  /** Where the state is, for messages to people. */
  readonly directory: string;
  /** The whole file, or null when there is none. */
  read(path: string): Promise<string | null>;
  /** As `read`, for secrets: refuses a file that group or others may read. */
  readPrivate(path: string): Promise<string | null>;
  /** The new content or the old one is there afterwards, never a part. Mode 0600, directories 0700. */
  write(path: string, text: string): Promise<void>;
  /** As `write`, but false, changing nothing, when the file is there already. Safe between processes. */
  create(path: string, text: string): Promise<boolean>;
  /** True for the one caller, of all processes, that removed it. */
  remove(path: string): Promise<boolean>;
  /** Names of the files in a directory, sorted; empty when there is none. */
  list(path: string): Promise<readonly string[]>;
}
