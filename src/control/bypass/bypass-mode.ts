import { ALLOWED_BYPASSES_ANNOTATION } from "../inject/names.ts";
import { type BypassCode, isBypassCode } from "./bypass-table.ts";
import type { BypassFinding } from "./bypass-finding.ts";

/** `audit`: findings are told and nothing is refused. `enforce`: a pod with an error is refused. */
export type BypassMode = "audit" | "enforce";

/** What holds in a namespace. */
export interface BypassRules {
  readonly mode: BypassMode;
  /** Codes that whoever administers the namespace has allowed in it; the pods' authors cannot. */
  readonly allowed: ReadonlySet<BypassCode>;
  /** Words of the annotation that are no codes. */
  readonly unknown: readonly string[];
}

/** Label of a namespace; it is a label since the API server's selectors choose by it whether a pod waits for us. */
export const BYPASS_MODE_LABEL = "cardea.dev/bypass-checks";

interface NamespaceWords {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** A mode that is misspelt is `enforce`: whoever has written the label wanted something to be refused. */
export function bypassRulesOf({ labels, annotations }: NamespaceWords, meshMode: BypassMode): BypassRules {
  const said = Object.hasOwn(labels, BYPASS_MODE_LABEL) ? labels[BYPASS_MODE_LABEL] : undefined;
  const mode = said === undefined ? meshMode : said === "audit" ? "audit" : "enforce";
  const listed = Object.hasOwn(annotations, ALLOWED_BYPASSES_ANNOTATION)
    ? annotations[ALLOWED_BYPASSES_ANNOTATION]!
    : "";
  const words = listed.split(",").map((word) => word.trim());
  const codes = words.filter((word): word is BypassCode => isBypassCode(word));
  return { mode, allowed: new Set(codes), unknown: words.filter((word) => word !== "" && !isBypassCode(word)) };
}

/** The findings that are not allowed. */
export function notAllowed(findings: readonly BypassFinding[], { allowed }: BypassRules): readonly BypassFinding[] {
  return findings.filter(({ code }) => !allowed.has(code));
}
