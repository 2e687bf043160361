import type { JsonValue } from "../../core/json-value.ts";
import { LIMITS } from "../../core/limits.ts";

/** What we say of an object. */
export type Verdict = Admitted | Refused;

export interface Admitted {
  readonly allowed: true;
  /** JSON Patch, RFC 6902; only mutating webhooks have one. */
  readonly patch?: readonly PatchOperation[];
  /** For whoever has sent the object; kubectl prints them. */
  readonly warnings: readonly string[];
  /** For the audit log of the API server. */
  readonly audit?: Readonly<Record<string, string>>;
}

interface Refused {
  readonly allowed: false;
  /** 400: the review is not one for us; 403: a rule of ours; 422: the object says what cannot be; 503: ask again. */
  readonly code: 400 | 403 | 422 | 503;
  readonly message: string;
  readonly warnings: readonly string[];
  readonly audit?: Readonly<Record<string, string>>;
}

export interface PatchOperation {
  readonly op: "add" | "replace" | "remove";
  readonly path: string;
  readonly value?: JsonValue;
}

export function admitted(warnings: readonly string[] = []): Admitted {
  return { allowed: true, warnings };
}

const REASONS = { 400: "BadRequest", 403: "Forbidden", 422: "Invalid", 503: "ServiceUnavailable" } as const;

/** Kubernetes cuts longer ones by itself, in the middle of a word. */
const WARNING_CHARS_MAX = 256;
/** Of all warnings together; beyond it the API server drops what is left. */
const WARNINGS_CHARS_MAX = 4_096;
/** kubectl prints it whole; a pod of a thousand faults needs no thousand lines. */
const MESSAGE_CHARS_MAX = 8_192;

/** The AdmissionReview that answers the request of this uid, as JSON. */
export function formatVerdict(uid: string, verdict: Verdict): string {
  const warnings = boundWarnings(verdict.warnings);
  const audit = verdict.audit === undefined ? {} : { auditAnnotations: boundAudit(verdict.audit) };
  const common = { uid, allowed: verdict.allowed, ...(warnings.length === 0 ? {} : { warnings }), ...audit };
  const response = verdict.allowed ? { ...common, ...patchOf(verdict) } : { ...common, status: statusOf(verdict) };
  return JSON.stringify({ apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", response });
}

function patchOf({ patch }: Admitted): object {
  if (patch === undefined || patch.length === 0) return {};
  return { patchType: "JSONPatch", patch: Buffer.from(JSON.stringify(patch)).toString("base64") };
}

function statusOf({ code, message }: Refused): object {
  return { status: "Failure", code, reason: REASONS[code], message: cut(message, MESSAGE_CHARS_MAX) };
}

function boundWarnings(warnings: readonly string[]): readonly string[] {
  const shown: string[] = [];
  let chars = 0;
  for (const warning of warnings.slice(0, LIMITS.webhookWarningsMax)) {
    const text = cut(oneLine(warning), WARNING_CHARS_MAX);
    chars += text.length;
    if (chars > WARNINGS_CHARS_MAX) break;
    shown.push(text);
  }
  const left = warnings.length - shown.length;
  // In the place of the last one, so that the bound holds.
  return left === 0 ? shown : [...shown.slice(0, -1), `${left + 1} more; cardea lint shows all`];
}

/** What the log of the API server takes: 256 octets or so are read by people, more by nobody. */
function boundAudit(audit: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(audit).map(([key, text]) => [key, cut(oneLine(text), 1_024)]));
}

/** A warning travels in a header (RFC 7234 section 5.5): no control characters. */
function oneLine(text: string): string {
  // oxlint-disable-next-line eslint/no-control-regex
  return text.replaceAll(/[\u0000-\u001f\u007f]+/g, " ");
}

function cut(text: string, charsMax: number): string {
  return text.length <= charsMax ? text : `${text.slice(0, charsMax - 1)}…`;
}
