import type { AuthorizationPolicy } from "../../document.ts";
import { findingAt, type PolicyFinding } from "./policy-finding.ts";

const SOON_MS = 7 * 86_400_000;

const field = (name: string): string => `metadata.annotations["cardea.dev/${name}"]`;

/** Grants that have ended or soon will, and those for an emergency. */
export function checkGrants(policy: AuthorizationPolicy, nowMs: number | null): readonly PolicyFinding[] {
  const { terms } = policy;
  if (terms === null) return [];
  const { untilMs, ticket, requestedBy, isBreakGlass } = terms;
  const { line } = policy.source;
  const findings: PolicyFinding[] = [];
  const why = ticket === null ? "" : ` (${ticket})`;
  if (untilMs !== null && nowMs !== null && untilMs <= nowMs) {
    const message = `the grant${why} has ended: its rules match nothing any more`;
    findings.push(findingAt(policy, { code: "grant-ended", field: field("expires"), line }, message));
  } else if (untilMs !== null && nowMs !== null && untilMs - nowMs < SOON_MS && !isBreakGlass) {
    const hours = Math.ceil((untilMs - nowMs) / 3_600_000);
    const message = `the grant${why} ends in ${hours > 48 ? `${Math.floor(hours / 24)} days` : `${hours} hours`}`;
    findings.push(findingAt(policy, { code: "grant-ends-soon", field: field("expires"), line }, message));
  }
  if (isBreakGlass) {
    const message = `is for an emergency: ${ticket}, asked for by ${requestedBy}`;
    findings.push(findingAt(policy, { code: "break-glass", field: field("break-glass"), line }, message));
  }
  return findings;
}
