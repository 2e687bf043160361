import { type PolicyTexts, readPolicyTexts } from "../../io/policy-directory.ts";
import { watchDirectory } from "../../io/watch.ts";
import { CHANGE_DEBOUNCE_MS } from "./directory.ts";

/** Where policy files come from. */
export interface PolicySource {
  /** For messages. */
  readonly path: string;
  /** All files with their texts; what cannot be read, and an absent or empty directory, is a fault. */
  read(): Promise<PolicyTexts>;
  /** Calls `onChange` soon after anything has changed. */
  watch(onChange: () => void): { close(): void };
}

/** The files of a directory and all below it, read exactly as `cardea policy check` reads them. */
export function openPolicySource(path: string): PolicySource {
  return {
    path,
    read: () => readPolicyTexts([path]),
    watch: (onChange) => watchDirectory(path, { debounceMs: CHANGE_DEBOUNCE_MS }, onChange),
  };
}
