import type { MapFlow, MapRule, MapVerdict } from "../api/map-messages.ts";
import { el, type Child } from "./dom.ts";
import { duration, moment } from "./format.ts";
import { icon } from "./icons.ts";
import type { Selection } from "./state.ts";

// Pieces that several panels are made of.

export type Select = (selection: Selection) => void;

const WORDS: Readonly<Record<MapVerdict, string>> = {
  allowed: "allowed",
  denied: "denied",
  "would-deny": "would be denied",
  error: "failed",
};

/** A verdict by sign, word and colour. */
export function verdictTag(verdict: MapVerdict): HTMLElement {
  return el("span", { class: `tag tag-${verdict}` }, icon(verdict), WORDS[verdict]);
}

export function verdictWords(verdict: MapVerdict): string {
  return WORDS[verdict];
}

/** A node's name as it is said: what stands for nobody has no namespace. */
export function nodeName(id: string): string {
  return id.startsWith("/") ? id.slice(1) : id;
}

/** Opens a node. */
export function nodeLink(id: string, select: Select, key = ""): HTMLElement {
  return el(
    "button",
    {
      type: "button",
      class: "link",
      data: { key: `node ${key} ${id}` },
      on: { click: () => select({ at: "node", id }) },
    },
    nodeName(id),
  );
}

/** Names and values, one under the other. */
export function facts(rows: readonly (readonly [string, Child])[]): HTMLElement {
  return el(
    "dl",
    { class: "facts" },
    rows.flatMap(([name, value]) => (value === null || value === "" ? [] : [el("dt", {}, name), el("dd", {}, value)])),
  );
}

export function heading(title: string, ...beside: readonly Child[]): HTMLElement {
  return el("div", { class: "heading" }, el("h3", {}, title), ...beside);
}

/** What was asked for, in a few words. */
export function requestWords(flow: MapFlow): string {
  return flow.method === null ? `${flow.protocol} :${flow.destination.port}` : `${flow.method} ${flow.path ?? ""}`;
}

/** Flows, newest first; each row opens its explanation. */
export function flowTable(
  flows: readonly MapFlow[],
  { select, nowMs, ends }: { readonly select: Select; readonly nowMs: number; readonly ends: boolean },
): HTMLElement {
  return el(
    "table",
    { class: "flows" },
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        ["Time", "Verdict", ...(ends ? ["From → to"] : []), "Request", "Status", "Took"].map((title) =>
          el("th", { scope: "col" }, title),
        ),
      ),
    ),
    el(
      "tbody",
      {},
      flows.map((flow) => flowRow(flow, { select, nowMs, ends })),
    ),
  );
}

function flowRow(
  flow: MapFlow,
  { select, nowMs, ends }: { readonly select: Select; readonly nowMs: number; readonly ends: boolean },
): HTMLElement {
  const open = (): void => select({ at: "flow", id: flow.id });
  const what = requestWords(flow);
  return el(
    "tr",
    { class: `flow flow-${flow.verdict}`, on: { click: open } },
    el("td", { class: "time" }, moment(flow.timeMs, nowMs, "seconds")),
    el("td", {}, verdictTag(flow.verdict)),
    ends && el("td", { class: "ends" }, `${nodeName(flow.from)} → ${nodeName(flow.to)}`),
    el(
      "td",
      { class: "request" },
      el("button", { type: "button", class: "link", title: what, data: { key: `flow ${flow.id}` } }, what),
    ),
    el("td", { class: "number" }, flow.status === null ? "–" : String(flow.status)),
    el("td", { class: "number" }, duration(flow.durationMs)),
  );
}

/** A rule as it stands in its file, with its place. */
export function ruleExcerpt({ policy, rule, file, line, excerpt }: MapRule): HTMLElement {
  return el(
    "figure",
    { class: "excerpt" },
    el(
      "figcaption",
      {},
      el("span", {}, `rule ${rule} of ${policy}`),
      el("code", {}, line === null ? file : `${file}:${line}`),
    ),
    excerpt.length > 0 &&
      el(
        "pre",
        { tabindex: 0, aria: { label: `${file}, from line ${excerpt[0]!.number}` } },
        excerpt.map(({ number, text, isMarked }) =>
          el(
            "span",
            { class: isMarked ? "line is-marked" : "line" },
            el("span", { class: "line-number", aria: { hidden: true } }, number),
            el("span", { class: "line-text" }, text === "" ? " " : text.replaceAll("\t", "  ")),
          ),
        ),
      ),
  );
}

/** YAML or a command, to be taken along. */
export function copyBlock(text: string, label: string): HTMLElement {
  const status = el("span", { class: "copy-status", role: "status" });
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      status.textContent = "copied";
    } catch {
      status.textContent = "this browser does not let it be copied: select the text";
    }
  };
  return el(
    "div",
    { class: "copy" },
    el(
      "div",
      { class: "copy-bar" },
      el(
        "button",
        { type: "button", class: "button", data: { key: `copy ${label}` }, on: { click: () => void copy() } },
        icon("copy"),
        label,
      ),
      status,
    ),
    el(
      "pre",
      { tabindex: 0, class: "yaml" },
      text
        .trimEnd()
        .split("\n")
        .map((line) => el("span", { class: "line" }, line === "" ? " " : line)),
    ),
  );
}

export function notice(kind: "info" | "warn" | "bad" | "good", ...children: readonly Child[]): HTMLElement {
  return el("div", { class: `notice notice-${kind}` }, ...children);
}

export function loading(words = "Asking the control plane …"): HTMLElement {
  return el("p", { class: "quiet loading", role: "status" }, words);
}
