import type { Fault } from "../../../core/located.ts";
import type { AuthorizationPolicy } from "../../document.ts";
import type { FindingCode } from "./finding-table.ts";

/** Something valid that means something else than it seems to: shaped like a fault, under a stable name. */
export interface PolicyFinding extends Fault {
  readonly code: FindingCode;
  /** `namespace/name`. */
  readonly policy: string;
}

/** A finding at a field; its line is the nearest that the policy itself remembers. */
export function findingAt(
  policy: AuthorizationPolicy,
  at: { readonly code: FindingCode; readonly field: string; readonly line: number | null },
  message: string,
): PolicyFinding {
  const { code, field, line } = at;
  const column = line === null ? null : 1;
  return { code, policy: policy.id, file: policy.source.file, line, column, field, message };
}
