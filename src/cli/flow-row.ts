import type { FlowRecord } from "../observe/flow.ts";
import { nameDestination, nameRequest, nameSource, withNamespace } from "./flow-names.ts";
import { fitTo, paint, visibleText } from "./flow-text.ts";

interface Column {
  readonly title: string;
  /** Columns that it takes; a share of what the others leave when it is null. */
  readonly width: number | null;
  text(flow: FlowRecord): string;
}

const VERDICT: Column = { title: "VERDICT", width: 10, text: (flow) => flow.verdict };
const STATUS: Column = { title: "ST", width: 3, text: (flow) => (flow.status === null ? "-" : String(flow.status)) };
const ID: Column = { title: "ID", width: 16, text: (flow) => visibleText(flow.id) };
const ROUTE: Column = {
  title: "FROM → TO",
  width: 20,
  text: (flow) => `${nameSource(flow)} → ${nameDestination(flow)}`,
};
const REQUEST: Column = { title: "REQUEST", width: null, text: nameRequest };
const BECAUSE: Column = {
  title: "POLICY OR REASON",
  width: 22,
  text: nameReason,
};
const DURATION: Column = { title: "TIME", width: 7, text: (flow) => formatDuration(flow.durationMs) };

/** On 80 columns what a person needs to ask further; `cardea explain` tells the rest. */
const NARROW: readonly Column[] = [
  { title: "AT", width: 8, text: (flow) => formatLocalTime(flow.timeMs).slice(0, 8) },
  VERDICT,
  ROUTE,
  REQUEST,
  STATUS,
  ID,
];

const AT: Column = { title: "AT", width: 12, text: (flow) => formatLocalTime(flow.timeMs) };

const MIDDLE: readonly Column[] = [AT, VERDICT, { ...ROUTE, width: null }, REQUEST, STATUS, BECAUSE, DURATION, ID];

const WIDE_ROUTE: Column = {
  ...ROUTE,
  width: null,
  text: (flow) =>
    `${withNamespace(nameSource(flow), flow.source)} → ${withNamespace(nameDestination(flow), flow.destination)}`,
};

const WIDE: readonly Column[] = [AT, VERDICT, WIDE_ROUTE, REQUEST, STATUS, BECAUSE, DURATION, ID];

const MIDDLE_FROM = 112;
const WIDE_FROM = 144;
const GAP = 1;
const SHARED_MIN = 12;

/** The titles over rows of the same width. */
export function renderFlowHeader(width: number, colour: boolean): string {
  return paint(renderRow(width, (column) => column.title).trimEnd(), "dim", colour);
}

/** One flow in one line of a terminal: as wide as it may be, coloured by its verdict. */
export function renderFlow(flow: FlowRecord, width: number, colour: boolean): string {
  const line = renderRow(width, (column) => column.text(flow)).trimEnd();
  return flow.verdict === "allowed" ? paintWord(line, flow.verdict, colour) : paint(line, flow.verdict, colour);
}

function renderRow(width: number, textOf: (column: Column) => string): string {
  const columns = columnsFor(width);
  const taken = columns.reduce((sum, column) => sum + (column.width ?? 0) + GAP, -GAP);
  const shares = columns.filter((column) => column.width === null).length;
  const share = Math.max(SHARED_MIN, Math.floor((width - taken) / shares));
  return columns.map((column) => fitTo(textOf(column), column.width ?? share)).join(" ".repeat(GAP));
}

function columnsFor(width: number): readonly Column[] {
  if (width < MIDDLE_FROM) return NARROW;
  return width < WIDE_FROM ? MIDDLE : WIDE;
}

/** What was allowed is the ordinary case: its verdict is coloured, the rest is easier to read as it is. */
function paintWord(line: string, word: "allowed", colour: boolean): string {
  return line.replace(` ${word} `, ` ${paint(word, word, colour)} `);
}

/** The policy that decided; for what ended in another way, how. */
function nameReason(flow: FlowRecord): string {
  return visibleText(flow.verdict === "error" ? flow.reason : (flow.policy ?? flow.reason));
}

/** The reader's own time of day: he compares it with the clock on his wall. */
function formatLocalTime(timeMs: number): string {
  const at = new Date(timeMs);
  const [hours, minutes, seconds] = [at.getHours(), at.getMinutes(), at.getSeconds()].map((part) => pad(part, 2));
  return `${hours}:${minutes}:${seconds}.${pad(at.getMilliseconds(), 3)}`;
}

/** Four significant characters with a unit. */
export function formatDuration(durationMs: number): string {
  if (durationMs < 10) return `${durationMs.toFixed(1)}ms`;
  if (durationMs < 10_000) return `${Math.round(durationMs)}ms`;
  return durationMs < 600_000 ? `${Math.round(durationMs / 1_000)}s` : `${Math.round(durationMs / 60_000)}m`;
}

function pad(value: number, length: number): string {
  return String(value).padStart(length, "0");
}
