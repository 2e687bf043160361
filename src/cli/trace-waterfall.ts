import type { FlowRecord } from "../observe/flow.ts";
import type { TracedExchange } from "../observe/trace-tree.ts";
import { formatDuration } from "./flow-row.ts";
import { fitTo, paint, visibleText } from "./flow-text.ts";

interface Row {
  readonly text: string;
  readonly exchange: TracedExchange;
}

const OUTCOME_WIDTH = 10;
const DURATION_WIDTH = 9;
const BAR_WIDTH_MIN = 16;
const NAME_WIDTH_MIN = 24;

/** A trace as a tree with bars for the times: who called whom, how it came out, and when. */
export function renderTrace(
  roots: readonly TracedExchange[],
  { width, colour }: { readonly width: number; readonly colour: boolean },
): readonly string[] {
  const rows = roots.flatMap((root) => rowsOf(root, "", ""));
  const startMs = Math.min(...rows.map(({ exchange }) => exchange.startMs));
  const endMs = Math.max(...rows.map(({ exchange }) => exchange.endMs));
  const wanted = Math.max(NAME_WIDTH_MIN, ...rows.map(({ text }) => text.length));
  const fixed = OUTCOME_WIDTH + DURATION_WIDTH + 3;
  const nameWidth = Math.max(NAME_WIDTH_MIN, Math.min(wanted, width - fixed - BAR_WIDTH_MIN));
  const barWidth = Math.max(BAR_WIDTH_MIN, Math.min(60, width - fixed - nameWidth));
  return rows.flatMap(({ text, exchange }) => {
    const { flow } = exchange;
    const bar = barOf(exchange, { startMs, totalMs: Math.max(0.001, endMs - startMs), width: barWidth });
    const outcome = fitTo(outcomeOf(flow), OUTCOME_WIDTH);
    const took = formatDuration(exchange.endMs - exchange.startMs).padStart(DURATION_WIDTH);
    const line = `${fitTo(text, nameWidth)} ${paint(outcome, flow.verdict, colour)} ${took} ${paint(bar, flow.verdict, colour)}`;
    return [line.trimEnd(), ...notesOf(exchange, text).map((note) => paint(note, "dim", colour))];
  });
}

function rowsOf(exchange: TracedExchange, lead: string, below: string): readonly Row[] {
  const last = exchange.children.length - 1;
  const children = exchange.children.flatMap((child, index) =>
    rowsOf(child, `${below}${index === last ? "└ " : "├ "}`, `${below}${index === last ? "  " : "│ "}`),
  );
  return [{ text: `${lead}${nameOf(exchange.flow)}`, exchange }, ...children];
}

function nameOf({ source, destination, protocol, method, path }: FlowRecord): string {
  const asked = protocol === "tcp" ? "tcp" : `${method ?? "?"} ${path ?? ""}`;
  const names = [source, destination].map(({ workload, ip }) => workload ?? ip);
  return visibleText(`${names.join(" > ")}  ${asked}`);
}

function outcomeOf({ verdict, status, grpcStatus, protocol }: FlowRecord): string {
  if (verdict === "denied" || verdict === "would-deny") return verdict;
  if (grpcStatus !== null && grpcStatus !== 0) return `grpc ${grpcStatus}`;
  if (status !== null) return String(status);
  return protocol === "tcp" ? verdict : "no answer";
}

function barOf(
  { startMs, endMs }: TracedExchange,
  whole: { readonly startMs: number; readonly totalMs: number; readonly width: number },
): string {
  const at = (ms: number) => ((ms - whole.startMs) / whole.totalMs) * whole.width;
  const from = Math.min(whole.width - 1, Math.floor(at(startMs)));
  const to = Math.max(from + 1, Math.min(whole.width, Math.round(at(endMs))));
  return " ".repeat(from) + "━".repeat(to - from);
}

/** What a row has no room for, below it. */
function notesOf({ flow, source }: TracedExchange, text: string): readonly string[] {
  const indent = " ".repeat(text.length - text.replace(/^[ │├└]*/, "").length + 2);
  const notes = [
    flow.verdict === "denied" || flow.verdict === "would-deny" ? `cardea explain ${flow.id}` : null,
    flow.verdict === "error" ? `${flow.reason}${flow.detail === null ? "" : `: ${flow.detail}`}` : null,
    (source?.attempts ?? 1) > 1 ? `sent ${source!.attempts} times, last for ${source!.retriedFor}` : null,
  ];
  return notes.filter((note) => note !== null).map((note) => `${indent}${visibleText(note)}`);
}
