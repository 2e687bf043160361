import { FLOW_FIELDS, type FlowRecord } from "../observe/flow.ts";
import { formatTime } from "../observe/flow-line.ts";
import { visibleText } from "./flow-text.ts";

/** The fields that the table puts into the compact output, in its order. */
const COLUMNS = Object.entries(FLOW_FIELDS)
  .filter(([, field]) => field.compact !== null)
  .toSorted(([, a], [, b]) => (a.compact ?? 0) - (b.compact ?? 0))
  .map(([name]) => name);

/** A flow as `name=value` words on one line: for grep, and for eyes that know what they look for. */
export function formatCompact(flow: FlowRecord): string {
  const words = COLUMNS.map((name) => [name === "timeMs" ? "time" : name, valueOf(flow, name)] as const);
  return words.flatMap(([name, value]) => (value === null ? [] : [`${name}=${quoteIfNeeded(value)}`])).join(" ");
}

/** All of its fields that are known, by the names of the JSON line: for eyes that want to see everything. */
export function formatDict(flow: FlowRecord): readonly { readonly name: string; readonly value: string }[] {
  return Object.keys(FLOW_FIELDS).flatMap((field) => {
    const value = field.endsWith(".labels") ? labelsOf(flow, field) : valueOf(flow, field);
    return value === null ? [] : [{ name: field === "timeMs" ? "time" : field, value: visibleText(value) }];
  });
}

function labelsOf(flow: FlowRecord, field: string): string | null {
  const { labels } = field === "source.labels" ? flow.source : flow.destination;
  const told = Object.entries(labels ?? {}).map(([key, value]) => `${key}=${value}`);
  return told.length === 0 ? null : told.toSorted().join(",");
}

function valueOf(flow: FlowRecord, name: string): string | null {
  if (name === "timeMs") return formatTime(flow.timeMs);
  let value: unknown = flow;
  for (const step of name.split(".")) value = (value as Record<string, unknown> | null)?.[step];
  if (typeof value === "number") return String(Math.round(value * 1_000) / 1_000);
  return typeof value === "string" ? value : null;
}

/** What could be read as more than one word is quoted, so that a line splits again as it was put together. */
function quoteIfNeeded(value: string): string {
  if (/^[!#-<>-[\]-~]+$/.test(value)) return value;
  return `"${visibleText(value.replace(/[\\"]/g, "\\$&"))}"`;
}
