import type { PolicyText } from "../config/revision-file.ts";
import type { FlowRecord } from "../observe/flow.ts";
import { formatTime } from "../observe/flow-line.ts";
import type { ClauseFinding, Explanation, NearestRule } from "../policy/explain.ts";
import { describeGroup } from "./board.ts";
import { adviceFor, meaningOf } from "../observe/flow-advice.ts";
import { formatAddress, nameDestination, nameRequest, nameSource, withNamespace } from "./flow-names.ts";
import type { Replay } from "../control/map/flow-replay.ts";
import { excerptOf, type RulePlace } from "../control/map/rule-excerpt.ts";
import { formatDuration } from "./flow-row.ts";
import { fitTo, paint, showPath, visibleLine, visibleText, wrapText } from "./flow-text.ts";

export interface StoryLook {
  readonly width: number;
  readonly colour: boolean;
  /** File names are shown from here. */
  readonly cwd: string;
  readonly nowMs: number;
  /** The command line that saves a grant of this name among the policies; null where they are not known. */
  saveLine(name: string): string | null;
}

/** The whole story of a flow: what was asked, what was decided, where that is written, and what to do. */
export function renderStory(flow: FlowRecord, replay: Replay, look: StoryLook): readonly string[] {
  return [
    renderTitle(flow, look),
    "",
    ...renderFacts(flow, look),
    "",
    ...(replay.at === "explained" ? renderReplay(flow, replay, look) : renderWithoutPolicy(flow, replay, look)),
  ];
}

const TITLES: Readonly<Record<FlowRecord["verdict"], string>> = {
  allowed: "ALLOWED",
  denied: "DENIED",
  "would-deny": "WOULD BE DENIED",
  error: "FAILED",
};

function renderTitle(flow: FlowRecord, { colour }: StoryLook): string {
  const what = `${nameSource(flow)} → ${nameDestination(flow)}  ${nameRequest(flow)}`;
  return `${paint(TITLES[flow.verdict], flow.verdict, colour)}  ${paint(what, "bold", colour)}`;
}

const LABEL_WIDTH = 10;

function renderFacts(flow: FlowRecord, look: StoryLook): readonly string[] {
  const facts: readonly (readonly [string, string | null])[] = [
    ["when", `${formatTime(flow.timeMs)} (${formatAgo(look.nowMs - flow.timeMs)})`],
    ["seen by", `the ${flow.reporter}'s sidecar`],
    ["caller", `${flow.source.principal ?? "no identity was proved"}, from ${formatAddress(flow.source)}`],
    ["client", flow.remoteIp === null ? null : `${flow.remoteIp}, by trusted forwarding headers`],
    ["called", describeCalled(flow)],
    ["host", flow.host],
    ["received", flow.receivedPath === null ? null : `${flow.receivedPath}, which is the path above in another form`],
    ["between", flow.tls.version === null ? "no TLS" : describeTls(flow)],
    ["answer", flow.status === null ? null : `${flow.status} after ${formatDuration(flow.durationMs)}`],
    ["policies", flow.revision === null ? null : `revision ${flow.revision}`],
    ["trace", flow.traceId],
    ["flow", flow.id],
  ];
  return facts.flatMap(([label, value]) => (value === null ? [] : [renderFact(label, visibleText(value), look)]));
}

function renderFact(label: string, value: string, { colour }: StoryLook): string {
  return `  ${paint(fitTo(label, LABEL_WIDTH), "dim", colour)}${value}`;
}

function describeCalled(flow: FlowRecord): string {
  const { destination } = flow;
  const labels = Object.entries(destination.labels ?? {}).map(([name, value]) => `${name}=${value}`);
  const shown = labels.length === 0 ? "" : ` (${labels.join(", ")})`;
  return `${withNamespace(nameDestination(flow), destination)}${shown}, port ${destination.port}`;
}

function describeTls({ tls }: FlowRecord): string {
  const version = tls.version?.replace(/^TLSv/, "TLS ") ?? "";
  return tls.group === null ? version : `${version}, key exchange ${describeGroup(tls.group)}`;
}

const AGES = [
  { unit: "days", ms: 86_400_000 },
  { unit: "hours", ms: 3_600_000 },
  { unit: "minutes", ms: 60_000 },
] as const;

/** Never one of a unit: from two days on it is days, and so on. */
function formatAgo(ms: number): string {
  if (ms < 0) return "ahead of this machine's clock";
  const age = AGES.find((each) => ms >= 2 * each.ms);
  return age === undefined ? `${(ms / 1_000).toFixed(0)} s ago` : `${Math.floor(ms / age.ms)} ${age.unit} ago`;
}

type Explained = Extract<Replay, { at: "explained" }>;

function renderReplay(
  flow: FlowRecord,
  { explanation, files, disagreement }: Explained,
  look: StoryLook,
): readonly string[] {
  const { nearest, grant, advice } = explanation;
  return [
    ...heading("Why", look),
    ...paragraph(sentence(explanation.summary, look), look),
    ...(flow.verdict === "would-deny"
      ? paragraph("It went through only because enforcement is AUDIT, for the mesh or this workload.", look)
      : []),
    ...explanation.observed.flatMap((each) => paragraph(sentence(each, look), look)),
    ...(flow.reason === "permission-lost"
      ? paragraph("The stream had been allowed before; this revision ended it.", look)
      : []),
    ...(disagreement === null ? [] : paragraph(disagreement, look)),
    ...renderDecider(explanation, files, look),
    ...(nearest === null ? [] : renderNearest(nearest, files, look)),
    ...(advice === null ? [] : ["", ...heading("What to do", look), ...paragraph(sentence(advice, look), look)]),
    ...(flow.verdict === "allowed" || flow.receivedPath === null ? [] : paragraph(DISGUISED_PATH, look)),
    ...(grant === null ? [] : renderGrant(grant, look)),
  ];
}

const DISGUISED_PATH =
  "The path came in another form than it is matched in. Ordinary clients do not write them so: look at the caller before you grant it anything.";

/** The rule that matched, with its clauses. */
function renderDecider(explanation: Explanation, files: readonly PolicyText[], look: StoryLook): readonly string[] {
  const { file, line, clauses } = explanation;
  if (file === null) return [];
  if (line === null) return paragraph(`The default is set in ${showPath(file, look.cwd)}.`, look);
  const marked = clauses.flatMap((clause) => (clause.line === null ? [] : [clause.line]));
  return [
    "",
    ...excerpt({ file, line, marked: marked.length === 0 ? [line] : marked }, files, look),
    ...clauses.flatMap((clause) => renderClause("matched", clause, look)),
  ];
}

function renderNearest(nearest: NearestRule, files: readonly PolicyText[], look: StoryLook): readonly string[] {
  const place = `${showPath(nearest.file, look.cwd)}${nearest.line === null ? "" : `:${nearest.line}`}`;
  const marked = nearest.failing.flatMap((clause) => (clause.line === null ? [] : [clause.line]));
  return [
    ...paragraph(`Nearest is rule ${nearest.rule} of ${visibleText(nearest.policy)}, at ${place}:`, look),
    "",
    ...(nearest.line === null ? [] : excerpt({ file: nearest.file, line: nearest.line, marked }, files, look)),
    ...nearest.failing.flatMap((clause) => renderClause("failed", clause, look)),
  ];
}

function renderClause(label: "matched" | "failed", clause: ClauseFinding, look: StoryLook): readonly string[] {
  const field = visibleText(clause.field);
  const actual = visibleText(clause.actual);
  if (label === "matched") return [renderFact(label, `${field} on ${actual}`, look)];
  return [
    renderFact(label, field, look),
    renderFact("", `expected  ${visibleText(clause.expected)}`, look),
    renderFact("", `was       ${paint(actual, "denied", look.colour)}`, look),
  ];
}

/** The rule as it stands in the file of that revision, from its first line to the last that matters. */
function excerpt(place: RulePlace, files: readonly PolicyText[], look: StoryLook): readonly string[] {
  const shown = excerptOf(place, files);
  if (shown.length === 0) return [];
  const numberWidth = String(shown.at(-1)!.number).length;
  const rows = shown.map(({ number, text, isMarked }) => {
    const row = `${isMarked ? ">" : " "} ${String(number).padStart(numberWidth)} | ${visibleLine(text)}`;
    return `  ${isMarked ? paint(row, "bold", look.colour) : paint(row, "dim", look.colour)}`;
  });
  return [`  ${showPath(place.file, look.cwd)}:${place.marked[0] ?? place.line}`, ...rows, ""];
}

/** The grant, and the line that saves it, are to be copied: the one stands at the margin, the other is not broken. */
function renderGrant(grant: string, look: StoryLook): readonly string[] {
  const save = look.saveLine(/^ {2}name: (\S+)$/m.exec(grant)?.[1] ?? "grant");
  return [
    "",
    ...heading("The smallest grant, for exactly this and nothing else", look),
    "",
    ...grant.trimEnd().split("\n").map(visibleLine),
    ...(save === null ? [] : ["", ...paragraph("Read it first; this puts it in force:", look), "", `  ${save}`]),
  ];
}

function renderWithoutPolicy(flow: FlowRecord, replay: Exclude<Replay, Explained>, look: StoryLook): readonly string[] {
  const advice = adviceFor(flow.reason);
  return [
    ...heading(`Why (${flow.reason})`, look),
    ...paragraph(meaningOf(flow.reason), look),
    ...(flow.policy === null ? [] : paragraph(`Decided by ${visibleText(describeDecider(flow))}.`, look)),
    ...(flow.detail === null ? [] : paragraph(`In this case: ${visibleText(flow.detail)}.`, look)),
    ...(replay.at === "impossible" ? paragraph(`There is no more to tell: ${visibleText(replay.why)}.`, look) : []),
    ...(advice === null ? [] : ["", ...heading("What to do", look), ...paragraph(advice, look)]),
  ];
}

function describeDecider({ policy, rule }: FlowRecord): string {
  return `${policy}${rule === null ? "" : `, rule ${rule}`}`;
}

function heading(text: string, { colour }: StoryLook): readonly string[] {
  return [paint(visibleText(text), "bold", colour)];
}

const PARAGRAPH_WIDTH_MAX = 100;

function paragraph(text: string, { width }: StoryLook): readonly string[] {
  return wrapText(text, Math.min(width, PARAGRAPH_WIDTH_MAX) - 2).map((line) => `  ${line}`);
}

/** A sentence of ours with names from files in it: begun large, ended with a stop, paths from where the reader is. */
function sentence(text: string, look: StoryLook): string {
  const local = visibleText(text).replaceAll(`${look.cwd}/`, "");
  return `${local.charAt(0).toUpperCase()}${local.slice(1)}${/[.!?]$/.test(local) ? "" : "."}`;
}
