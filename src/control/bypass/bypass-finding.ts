import { BYPASS_TABLE, type BypassCode, type BypassSeverity } from "./bypass-table.ts";

/** Keys and indices from the pod to a field. */
export type FieldPath = readonly (string | number)[];

/** One way around the mesh, in one place of a pod. */
export interface BypassFinding {
  readonly code: BypassCode;
  readonly severity: BypassSeverity;
  readonly path: FieldPath;
  /** What stands there, e.g. `NET_ADMIN of the container app`. */
  readonly what: string;
  readonly why: string;
  readonly mend: string;
}

/** `why` in the place of the table's, where more can be said. */
export function finding(code: BypassCode, path: FieldPath, what: string, why?: string): BypassFinding {
  const entry = BYPASS_TABLE[code];
  return { code, severity: entry.severity, path, what, why: why ?? entry.why, mend: entry.mend };
}

/** `code: field: what: why; mend`, as people read it. */
export function formatFinding({ code, path, what, why, mend }: BypassFinding): string {
  const field = formatPath(path);
  return `${code}: ${field === "" ? "" : `${field}: `}${what}: ${why}; ${mend}`;
}

/** `spec.containers[0].ports[1].hostPort`; keys with a dot of their own in brackets. */
export function formatPath(path: FieldPath): string {
  let text = "";
  for (const step of path) {
    if (typeof step === "number") text += `[${step}]`;
    else if (/^[\w-]+$/.test(step)) text += text === "" ? step : `.${step}`;
    else text += `[${JSON.stringify(step)}]`;
  }
  return text;
}
