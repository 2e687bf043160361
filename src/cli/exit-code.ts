import type { ErrorCode } from "../core/errors.ts";
import type { ExitCode } from "./command.ts";

/** Outside the contract's 0 to 3 on purpose: a fault of ours must not read as "found something" (sysexits EX_SOFTWARE). */
const INTERNAL_FAULT_EXIT_CODE = 70;

const EXIT_CODES: Partial<Record<ErrorCode, ExitCode>> = {
  "bad-input": 2,
  "spiffe-id-invalid": 2,
  "csr-invalid": 2,
  "der-invalid": 2,
  unreachable: 3,
  "kube-forbidden": 3,
  "kube-absent": 3,
  "kube-conflict": 3,
  "kube-gone": 3,
  "kube-refused": 3,
  "upstream-connect-failed": 3,
  "upstream-connect-timeout": 3,
};

/** What a command that failed with this code exits with. */
export function exitCodeOf(code: ErrorCode): ExitCode | typeof INTERNAL_FAULT_EXIT_CODE {
  return EXIT_CODES[code] ?? INTERNAL_FAULT_EXIT_CODE;
}
