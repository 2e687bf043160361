import type { Decision } from "../policy/decision.ts";
import type { AuthorizationPolicy } from "../policy/document.ts";
import type { Flip, PolicyDiff } from "../policy/analysis/diff.ts";
import type { AskedFlip } from "../policy/analysis/diff-custom.ts";
import { type KnownWorkload, nameOf } from "../policy/analysis/known-workload.ts";
import { callerName, requestWords } from "./known-workloads.ts";
import type { FlippedFlow, FlowFlips } from "./policy-diff-flows.ts";
import { flowWords } from "./recorded-flows.ts";

/** All that a report of two versions says. */
export interface Comparison {
  readonly names: { readonly before: string; readonly after: string };
  readonly revisions: { readonly before: string; readonly after: string };
  readonly before: readonly AuthorizationPolicy[];
  readonly after: readonly AuthorizationPolicy[];
  readonly workloads: readonly KnownWorkload[];
  readonly diff: PolicyDiff;
  /** About what servers outside are asked, or are no more. */
  readonly asked: readonly AskedFlip[];
  /** What changes besides, a sentence each. */
  readonly notes: readonly string[];
  /** Null: none were given. */
  readonly flows: FlowFlips | null;
}

const CHANGES = ["newly-allowed", "newly-denied"] as const;
const TITLES = { "newly-allowed": "Newly allowed", "newly-denied": "Newly denied" } as const;

const ASKED_CHANGES = ["newly-asked", "asked-no-more"] as const;
const ASKED_TITLES = { "newly-asked": "Newly asked about", "asked-no-more": "Asked about no more" } as const;

/** Callers, and examples, that one line names. */
const SHOWN_MAX = 5;

export function formatText(comparison: Comparison): readonly string[] {
  const { diff, flows } = comparison;
  const lines: string[] = [];
  for (const change of CHANGES) {
    const flips = diff.flips.filter((flip) => flip.change === change);
    if (flips.length > 0) lines.push(`${TITLES[change]}:`);
    for (const flip of flips) {
      lines.push(`  ${callersOf(flip, comparison)} → ${destinationOf(flip)}: ${examplesOf(flip).join("; ")}`);
      lines.push(`      ${because(flip, comparison).join("; ")}`);
    }
  }
  for (const change of ASKED_CHANGES) {
    const flips = comparison.asked.filter((flip) => flip.change === change);
    if (flips.length > 0) lines.push(`${ASKED_TITLES[change]}:`);
    for (const flip of flips) lines.push(`  ${flip.provider}: ${callersOf(flip, comparison)} → ${askedWords(flip)}`);
  }
  if (comparison.notes.length > 0) lines.push("Who callers are:", ...comparison.notes.map((note) => `  ${note}`));
  lines.push(...diff.unknown.map((name) => `not known: ${name} has more to tell apart than could be looked at`));
  lines.push(summaryOf(comparison));
  if (flows !== null) lines.push(...flows.flipped.map((flip) => `  ${flowLine(flip)}`), flowSummary(flows));
  return lines;
}

/** For a pull request's comment. */
export function formatMarkdown(comparison: Comparison): readonly string[] {
  const { diff, flows } = comparison;
  const lines = [
    `### Policy changes: ${code(comparison.names.before)} → ${code(comparison.names.after)}`,
    "",
    summaryOf(comparison),
    "",
  ];
  for (const change of CHANGES) {
    const flips = diff.flips.filter((flip) => flip.change === change);
    if (flips.length === 0) continue;
    lines.push(`#### ${TITLES[change]}`, "", "| who | where | for example | because |", "|---|---|---|---|");
    for (const flip of flips) {
      const cells = [callersOf(flip, comparison), destinationOf(flip), examplesOf(flip).map(code).join("; ")];
      const reasons = because(flip, comparison).map(cell).join("<br>");
      lines.push(`| ${cells.map(cell).join(" | ")} | ${reasons} |`);
    }
    lines.push("");
  }
  if (comparison.asked.length > 0) {
    lines.push("#### Servers outside that are asked", "", "| change | server | who | what |", "|---|---|---|---|");
    for (const flip of comparison.asked)
      lines.push(
        `| ${[ASKED_TITLES[flip.change], flip.provider, callersOf(flip, comparison), askedWords(flip)].map(cell).join(" | ")} |`,
      );
    lines.push("");
  }
  if (comparison.notes.length > 0)
    lines.push("#### Who callers are", "", ...comparison.notes.map((note) => `- ${note}`), "");
  if (diff.unknown.length > 0)
    lines.push(`Not known, because there is too much to tell apart: ${diff.unknown.map(code).join(", ")}`, "");
  if (flows === null) return lines;
  lines.push("#### Recorded flows", "", flowSummary(flows), "");
  if (flows.flipped.length > 0) {
    lines.push("| flows | change | who | what |", "|---|---|---|---|");
    for (const { count, change, example } of flows.flipped.slice(0, FLOWS_SHOWN))
      lines.push(`| ${count} | ${change} | ${cell(sourceOf(example))} | ${cell(code(targetOf(example)))} |`);
    lines.push("");
  }
  return lines;
}

const FLOWS_SHOWN = 50;

export function formatJson(comparison: Comparison): readonly string[] {
  const { diff, flows, revisions } = comparison;
  const flips = diff.flips.map(({ destination, change, before, after, examples }) => ({
    kind: "change",
    change,
    destination: destination.workload.name,
    port: destination.port,
    protocol: destination.protocol,
    before,
    after,
    examples: examples.map((facts) => ({
      principal: facts.principal,
      ip: facts.sourceIp,
      port: facts.destinationPort,
      ...(destination.protocol === "http"
        ? { method: facts.method, path: facts.path, host: facts.host, headers: facts.headers, claims: facts.claims }
        : {}),
    })),
  }));
  const askedLines = comparison.asked.map(({ destination, change, provider, policy, rule }) => ({
    kind: "asked",
    change,
    provider,
    policy,
    rule,
    destination: destination.workload.name,
    port: destination.port,
    protocol: destination.protocol,
  }));
  const noteLines = comparison.notes.map((note) => ({ kind: "note", note }));
  const flowLines = (flows?.flipped ?? []).map(({ example, ...flip }) => ({ kind: "flow", ...flip, flow: example.id }));
  const allowed = diff.flips.filter(({ change }) => change === "newly-allowed").length;
  const counts = { newlyAllowed: allowed, newlyDenied: diff.flips.length - allowed, looked: diff.looked };
  const read = flows === null ? {} : { flowsRead: flows.read, flowsSkipped: flows.skipped, flowsUntold: flows.untold };
  return [
    ...flips,
    ...askedLines,
    ...noteLines,
    ...flowLines,
    { kind: "summary", revisions, ...counts, unknown: diff.unknown, ...read },
  ].map((each) => JSON.stringify(each));
}

function summaryOf({ diff, revisions }: Comparison): string {
  const count = (change: Flip["change"]): number => diff.flips.filter((flip) => flip.change === change).length;
  if (diff.flips.length === 0 && diff.unknown.length === 0)
    return `No request is decided otherwise on ${diff.looked} destinations (revision ${revisions.before} → ${revisions.after}).`;
  const allowed = count("newly-allowed");
  const kinds = `${allowed} ${allowed === 1 ? "kind" : "kinds"} of request newly allowed, ${count("newly-denied")} newly denied`;
  const unknown = diff.unknown.length === 0 ? "" : `, ${diff.unknown.length} destinations not known`;
  return `${kinds}${unknown}, of ${diff.looked} destinations (revision ${revisions.before} → ${revisions.after}).`;
}

function askedWords({ destination, examples, policy, rule }: AskedFlip): string {
  const requests = few(examples.map((example) => requestWords(example, destination))).join("; ");
  return `${nameOf(destination)}: ${requests} (rule ${rule} of ${policy})`;
}

function callersOf({ examples }: Pick<Flip, "examples">, { workloads }: Comparison): string {
  return few(examples.map(({ principal }) => callerName(principal, workloads))).join(", ");
}

/** Each once, and how many more there are. */
function few(words: readonly string[]): readonly string[] {
  const distinct = [...new Set(words)];
  const more = distinct.length - SHOWN_MAX;
  return more > 0 ? [...distinct.slice(0, SHOWN_MAX), `and ${more} more`] : distinct;
}

function destinationOf({ destination }: Flip): string {
  return nameOf(destination);
}

function examplesOf({ examples, destination }: Flip): readonly string[] {
  return few(examples.map((example) => requestWords(example, destination)));
}

function because({ before, after }: Flip, { before: old, after: now }: Comparison): readonly string[] {
  return [`before: ${reasonOf(before, old)}`, `after: ${reasonOf(after, now)}`];
}

function reasonOf({ policy, rule, reason }: Decision, documents: readonly AuthorizationPolicy[]): string {
  if (reason === "no-allow-rule-matched") return "no ALLOW rule matched";
  if (reason === "plaintext-refused") return `no caller without identity is let in (${policy})`;
  const source = documents.find(({ id }) => id === policy)?.rules.find(({ index }) => index === rule)?.source;
  if (source === undefined) return "the mesh's defaultAction";
  const verb = reason === "deny-rule-matched" ? "denied" : "allowed";
  return `${verb} by rule ${rule} of ${policy} (${source.file}:${source.line ?? 1})`;
}

function flowSummary({ read, skipped, flipped, untold }: FlowFlips): string {
  const count = (change: FlippedFlow["change"]): number =>
    flipped.filter((flip) => flip.change === change).reduce((sum, flip) => sum + flip.count, 0);
  const passed = skipped === 0 ? "" : `; ${skipped} other lines passed over`;
  const some =
    untold.count === 0
      ? ""
      : `; of ${untold.count} it cannot be told: ${few(untold.missing).join(", ")} is not recorded`;
  return `Of ${read} recorded flows, ${count("newly-allowed")} would be newly allowed and ${count("newly-denied")} newly denied${some}${passed}.`;
}

function flowLine({ count, change, example }: FlippedFlow): string {
  return `${count} × ${change}: ${flowWords(example)}`;
}

function sourceOf({ source }: FlippedFlow["example"]): string {
  return source.principal ?? `${source.ip} without an identity`;
}

function targetOf({ destination, method, path }: FlippedFlow["example"]): string {
  const name = `${destination.namespace ?? "?"}/${destination.workload ?? destination.ip}:${destination.port}`;
  return method === null ? name : `${name} ${method} ${path ?? ""}`;
}

function code(text: string): string {
  return `\`${text.replaceAll("`", "'")}\``;
}

/** A bar would end the table's cell. */
function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}
