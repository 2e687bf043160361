import { CardeaError } from "../core/errors.ts";
import type { FlowRecord } from "../observe/flow.ts";
import { formatFlowLine } from "../observe/flow-line.ts";
import type { ParsedArgs, Terminal } from "./command.ts";
import { formatCompact, formatDict } from "./flow-compact.ts";
import { renderFlow, renderFlowHeader } from "./flow-row.ts";
import { paint } from "./flow-text.ts";

const FORMATS = ["table", "json", "compact", "dict"] as const;
export type FlowFormat = (typeof FORMATS)[number];

/** Errors: `bad-input`. */
export function parseFlowFormat(args: ParsedArgs): FlowFormat {
  const asked = args.isSet("json") ? "json" : (args.flag("output") ?? "table");
  const format = FORMATS.find((word) => word === asked);
  if (format !== undefined) return format;
  throw new CardeaError("bad-input", `--output is ${FORMATS.join(", ")}, not ${JSON.stringify(asked)}`);
}

/** Shows flows one after the other. Nothing in a flow acts on the terminal, whatever its format. */
export function openFlowOutput(format: FlowFormat, terminal: Terminal): (flow: FlowRecord) => void {
  switch (format) {
    case "json":
      return (flow) => terminal.stdout(formatFlowLine(flow));
    case "compact":
      return (flow) => terminal.stdout(formatCompact(flow));
    case "dict":
      return openDict(terminal);
    case "table":
      return openRows(terminal);
  }
}

/** Off a terminal nothing is cut: what reads us has no width. */
const WIDTH_OF_PIPES = 200;

function openRows(terminal: Terminal): (flow: FlowRecord) => void {
  let isTitled = false;
  return (flow) => {
    const width = terminal.isTty ? terminal.width : WIDTH_OF_PIPES;
    if (!isTitled) terminal.stdout(renderFlowHeader(width, terminal.colour));
    isTitled = true;
    terminal.stdout(renderFlow(flow, width, terminal.colour));
  };
}

function openDict(terminal: Terminal): (flow: FlowRecord) => void {
  let isFirst = true;
  return (flow) => {
    if (!isFirst) terminal.stdout("------------");
    isFirst = false;
    for (const { name, value } of formatDict(flow)) {
      const shown = name === "verdict" ? paint(value, flow.verdict, terminal.colour) : value;
      terminal.stdout(`${paint(`${name.padStart(DICT_NAME_WIDTH)}:`, "dim", terminal.colour)} ${shown}`);
    }
  };
}

const DICT_NAME_WIDTH = 22;
