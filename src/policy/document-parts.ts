import { closestWord } from "../core/closest-word.ts";
import { LIMITS } from "../core/limits.ts";
import type { Located, LocatedEntry } from "../core/located.ts";
import { objectMetadata } from "../core/object-metadata.ts";
import { addFault, mapOf, object, optional, type Schema, type Scope, string } from "../core/schema.ts";

/** The versions of security.istio.io that are read; they mean the same. */
export const SECURITY_API_VERSIONS = ["security.istio.io/v1", "security.istio.io/v1beta1"] as const;

/** What a policy's annotations say to us. */
export interface PolicyAnnotations {
  /** `istio.io/dry-run`: the policy is evaluated and not enforced. */
  readonly isDryRun: boolean;
  /** `cardea.dev/…`; null: there are none. */
  readonly terms: GrantTerms | null;
}

/** strconv.ParseBool, which is how Istio reads the annotation. */
const DRY_RUN: Schema<boolean> = (value, scope) => {
  const text = string()(value, scope);
  if (text === undefined || /^(0|f|F|false|FALSE|False)$/.test(text)) return false;
  if (/^(1|t|T|true|TRUE|True)$/.test(text)) return true;
  return addFault(scope, value.at, 'expected "true" or "false"');
};

const ANNOTATIONS: Schema<PolicyAnnotations> = (value, scope) => {
  mapOf(string({ allowEmpty: true }))(value, scope);
  if (value.kind !== "map") return undefined;
  const terms = parseGrantTerms(value.entries, scope);
  if (terms === undefined) return undefined;
  const dryRun = value.entries.find((entry) => entry.key === "istio.io/dry-run");
  if (dryRun === undefined) return { isDryRun: false, terms };
  const isDryRun = DRY_RUN(dryRun.value, { ...scope, field: `${scope.field}["istio.io/dry-run"]` });
  return isDryRun === undefined ? undefined : { isDryRun, terms };
};

/** A policy's metadata. */
export const METADATA = objectMetadata(ANNOTATIONS);

/** Istio refuses wildcards in labels, since they would look as if they worked. */
const MATCH_LABELS: Schema<ReadonlyMap<string, string>> = (value, scope) => {
  const labels = mapOf(string({ allowEmpty: true }))(value, scope);
  for (const [key, label] of labels ?? []) {
    if (key === "") addFault(scope, value.at, "a label's name must not be empty");
    if (key.includes("*") || label.includes("*"))
      addFault(scope, value.at, `wildcards have no meaning in a selector: ${key}=${label}`);
  }
  return labels;
};

/** Which workloads a security document holds for: those with all of the labels. Without labels: every one in its reach. */
export const SELECTOR = object({ matchLabels: optional(MATCH_LABELS) });

/** Istio's sidecars pass a policy over that has one (ShouldAttachPolicy); half of its readers would think it holds. */
export const NO_TARGETS =
  "is for gateways and waypoints, and no sidecar heeds a policy that has it: select workloads by `selector`";

/** What an ALLOW policy's annotations say of the grant that it is: for whom it was asked, and how long it holds. */
export interface GrantTerms {
  /** Before it the policy's rules match nothing. Null: from the beginning. */
  readonly fromMs: number | null;
  /** From then on the policy's rules match nothing. Null: no end. */
  readonly untilMs: number | null;
  readonly ticket: string | null;
  readonly requestedBy: string | null;
  /** Meant for an emergency: short, with all that is above, and told of wherever it lets something through. */
  readonly isBreakGlass: boolean;
}

/** All annotations that we read of a policy; others of our own prefix are faults. */
export const GRANT_ANNOTATIONS = {
  "cardea.dev/valid-from": "When the grant begins, as RFC 3339 has it; before, its rules match nothing.",
  "cardea.dev/expires": "When the grant ends, as RFC 3339 has it; from then on its rules match nothing.",
  "cardea.dev/ticket": "What the grant was asked for by; flow records of what it lets through name it.",
  "cardea.dev/requested-by": "Who asked for it.",
  "cardea.dev/break-glass":
    '"true": for an emergency. Needs all of the above, lasts a day at most, comes after all other ALLOW policies, and is told of wherever it lets something through.',
} as const;

const PREFIX = "cardea.dev/";
const TEXT_LENGTH_MAX = 128;

/** Annotations → terms; null: there are none. Undefined: faults were added. */
function parseGrantTerms(entries: readonly LocatedEntry[], scope: Scope): GrantTerms | null | undefined {
  const own = entries.filter(({ key }) => key.startsWith(PREFIX));
  if (own.length === 0) return null;
  const faultsBefore = scope.faults.length;
  for (const { key, keyAt } of own) {
    if (Object.hasOwn(GRANT_ANNOTATIONS, key)) continue;
    const closest = closestWord(key, Object.keys(GRANT_ANNOTATIONS));
    addFault(at(scope, key), keyAt, `unknown annotation${closest === null ? "" : `; did you mean \`${closest}\`?`}`);
  }
  const read = (name: keyof typeof GRANT_ANNOTATIONS): Located | null =>
    own.find(({ key }) => key === name)?.value ?? null;
  const terms = {
    fromMs: timeOf(read("cardea.dev/valid-from"), at(scope, "cardea.dev/valid-from")),
    untilMs: timeOf(read("cardea.dev/expires"), at(scope, "cardea.dev/expires")),
    ticket: wordOf(read("cardea.dev/ticket"), at(scope, "cardea.dev/ticket")),
    requestedBy: wordOf(read("cardea.dev/requested-by"), at(scope, "cardea.dev/requested-by")),
    isBreakGlass: flagOf(read("cardea.dev/break-glass"), at(scope, "cardea.dev/break-glass")),
  };
  if (scope.faults.length === faultsBefore) assertSense(terms, own[0]!, scope);
  return scope.faults.length === faultsBefore ? terms : undefined;
}

function at(scope: Scope, key: string): Scope {
  return { ...scope, field: `${scope.field}["${key}"]` };
}

const RFC_3339 = /^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$/;

function timeOf(value: Located | null, scope: Scope): number | null {
  if (value === null) return null;
  const text = string()(value, scope);
  if (text === undefined) return null;
  const ms = RFC_3339.test(text) ? Date.parse(text.toUpperCase()) : Number.NaN;
  if (!Number.isNaN(ms)) return ms;
  addFault(scope, value.at, `expected a time like 2026-01-31T12:00:00Z (RFC 3339), found ${JSON.stringify(text)}`);
  return null;
}

/** It comes into records and logs: visible characters, and not too many. */
function wordOf(value: Located | null, scope: Scope): string | null {
  if (value === null) return null;
  const text = string()(value, scope);
  if (text === undefined) return null;
  if (text.length <= TEXT_LENGTH_MAX && /^[\x21-\x7E]([\x20-\x7E]*[\x21-\x7E])?$/.test(text)) return text;
  addFault(
    scope,
    value.at,
    `expected at most ${TEXT_LENGTH_MAX} visible ASCII characters, found ${JSON.stringify(text)}`,
  );
  return null;
}

function flagOf(value: Located | null, scope: Scope): boolean {
  if (value === null) return false;
  const text = string()(value, scope);
  if (text !== undefined && text !== "true" && text !== "false")
    addFault(scope, value.at, 'expected "true" or "false"');
  return text === "true";
}

function assertSense(terms: GrantTerms, { keyAt }: LocatedEntry, scope: Scope): void {
  const { fromMs, untilMs, ticket, requestedBy, isBreakGlass } = terms;
  if (fromMs !== null && untilMs !== null && untilMs <= fromMs)
    addFault(at(scope, "cardea.dev/expires"), keyAt, "must be later than cardea.dev/valid-from");
  if (!isBreakGlass) return;
  const field = at(scope, "cardea.dev/break-glass");
  if (fromMs === null || untilMs === null || ticket === null || requestedBy === null)
    addFault(
      field,
      keyAt,
      "needs cardea.dev/valid-from, cardea.dev/expires, cardea.dev/ticket and cardea.dev/requested-by",
    );
  else if (untilMs - fromMs > LIMITS.breakGlassMs)
    addFault(field, keyAt, `may last ${LIMITS.breakGlassMs / 3_600_000} hours at most`);
}
