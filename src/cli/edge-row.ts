import { type Edge, nameEnd } from "../control/flows/edge.ts";
import { type EdgeEnd, latencyQuantileMs } from "../control/flows/query.ts";
import { formatDuration } from "./flow-row.ts";
import { paint, visibleText } from "./flow-text.ts";

interface Column {
  readonly title: string;
  readonly isNumber: boolean;
  text(edge: Edge, seconds: number): string;
}

const COLUMNS: readonly Column[] = [
  { title: "FROM", isNumber: false, text: ({ source }) => fullName(source) },
  { title: "TO", isNumber: false, text: ({ destination }) => `${fullName(destination)}:${destination.port}` },
  { title: "ALLOWED", isNumber: true, text: ({ flows }) => String(flows.allowed) },
  { title: "DENIED", isNumber: true, text: ({ flows }) => blankZero(flows.denied) },
  { title: "WOULD-DENY", isNumber: true, text: ({ flows }) => blankZero(flows["would-deny"]) },
  { title: "ERROR", isNumber: true, text: ({ flows, failed }) => blankZero(flows.error + failed) },
  {
    title: "/S",
    isNumber: true,
    text: ({ total }, seconds) => (total / seconds).toFixed(total / seconds < 10 ? 1 : 0),
  },
  { title: "P50", isNumber: true, text: (edge) => quantile(edge, 0.5) },
  { title: "P99", isNumber: true, text: (edge) => quantile(edge, 0.99) },
  { title: "TLS", isNumber: false, text: ({ tls, group }) => (tls === "mutual" ? (group ?? "mutual") : tls) },
];

const GAP = "  ";
const NAME_WIDTH_MIN = 12;

/** A table of edges: titles first. What a terminal would not show is left out, the last columns first. */
export function renderEdges(
  edges: readonly Edge[],
  { seconds, width, colour }: { readonly seconds: number; readonly width: number; readonly colour: boolean },
): readonly string[] {
  const cells = edges.map((edge) => COLUMNS.map((column) => visibleText(column.text(edge, seconds))));
  const widths = COLUMNS.map(({ title }, i) => Math.max(title.length, ...cells.map((row) => row[i]!.length)));
  for (const i of [0, 1]) widths[i] = Math.max(NAME_WIDTH_MIN, Math.min(widths[i]!, Math.floor(width / 3)));
  const shown = fitting(widths, width);
  const lineOf = (row: readonly string[]): string =>
    row
      .slice(0, shown)
      .map((cell, i) => align(cut(cell, widths[i]!), widths[i]!, COLUMNS[i]!.isNumber))
      .join(GAP)
      .trimEnd();
  return [
    paint(lineOf(COLUMNS.map(({ title }) => title)), "dim", colour),
    ...cells.map((row, i) => paintEdge(lineOf(row), edges[i]!, colour)),
  ];
}

function fitting(widths: readonly number[], width: number): number {
  let taken = -GAP.length;
  for (const [i, each] of widths.entries()) {
    taken += each + GAP.length;
    if (taken > width) return i;
  }
  return widths.length;
}

function paintEdge(line: string, { flows }: Edge, colour: boolean): string {
  if (flows.denied > 0) return paint(line, "denied", colour);
  if (flows["would-deny"] > 0) return paint(line, "would-deny", colour);
  return flows.error > 0 ? paint(line, "error", colour) : line;
}

function fullName(end: EdgeEnd): string {
  return end.namespace === null ? nameEnd(end) : `${end.namespace}/${nameEnd(end)}`;
}

function blankZero(value: number): string {
  return value === 0 ? "-" : String(value);
}

function quantile({ latencyCounts }: Edge, part: number): string {
  const ms = latencyQuantileMs(latencyCounts, part);
  return ms === null ? "-" : formatDuration(ms);
}

function align(text: string, width: number, isNumber: boolean): string {
  return isNumber ? text.padStart(width) : text.padEnd(width);
}

/** The end of a name tells more than its beginning. */
function cut(text: string, width: number): string {
  return text.length <= width ? text : `…${text.slice(text.length - width + 1)}`;
}
