/** What a registry says of the packages that we ship. */
export type AuditVerdict =
  | { readonly at: "clean"; readonly packages: number }
  | { readonly at: "found"; readonly advisories: readonly string[] }
  /** No answer: nothing is known, good or bad. */
  | { readonly at: "unasked"; readonly why: string };

interface AuditReport {
  readonly auditReportVersion?: number;
  readonly vulnerabilities?: Readonly<Record<string, Vulnerability>>;
  readonly metadata?: { readonly dependencies?: { readonly total?: number } };
  readonly message?: string;
}

interface Vulnerability {
  readonly severity: string;
  readonly range: string;
  /** An advisory, or the name of the package by which this one is concerned. */
  readonly via: readonly (string | { readonly title: string; readonly url: string })[];
}

/** What `npm audit --json` printed → the verdict. Whatever is not a report is no answer, and never a clean one. */
export function judgeAudit(printed: string): AuditVerdict {
  const report = parse(printed);
  if (report === null) return { at: "unasked", why: "npm audit printed no report" };
  const { auditReportVersion, vulnerabilities, metadata, message } = report;
  if (auditReportVersion !== 2 || vulnerabilities === undefined)
    return { at: "unasked", why: message ?? "npm audit printed something else than a report" };
  const advisories = Object.entries(vulnerabilities).map(([name, { severity, range, via }]) => {
    const why = via.map((each) => (typeof each === "string" ? `by ${each}` : `${each.title} (${each.url})`));
    return `${name} ${range}: ${severity}: ${why.join("; ")}`;
  });
  if (advisories.length > 0) return { at: "found", advisories };
  return { at: "clean", packages: metadata?.dependencies?.total ?? 0 };
}

function parse(text: string): AuditReport | null {
  try {
    const parsed = JSON.parse(text) as unknown;
    return typeof parsed === "object" && parsed !== null ? parsed : null;
  } catch {
    return null;
  }
}
