import { el } from "./dom.ts";
import { bytes, duration, percent, rate } from "./format.ts";
import type { FlowList } from "./flow-list.ts";
import { icon } from "./icons.ts";
import { facts, heading, nodeLink, nodeName, type Select, verdictTag } from "./parts.ts";
import type { State } from "./state.ts";
import { lockOf, lockWords } from "./tie-chips.ts";
import { type Tie, tieId, VERDICTS } from "./ties.ts";

/** All that went one way between two services; the list of its flows comes below. */
export function tiePanel(
  state: State,
  { from, to }: { readonly from: string; readonly to: string },
  { select, flows }: { readonly select: Select; readonly flows: FlowList },
): HTMLElement {
  const tie = state.ties.find(({ id }) => id === tieId(from, to));
  return el(
    "div",
    {},
    el(
      "h2",
      { class: "ends-title" },
      nodeLink(from, select, "title"),
      el("span", { aria: { label: "to" } }, icon("arrow")),
      nodeLink(to, select, "title"),
    ),
    tie === undefined
      ? el("p", { class: "quiet" }, `Nothing went from ${nodeName(from)} to ${nodeName(to)} in this span of time.`)
      : [numbers(tie, state.graph?.seconds ?? 1), ports(tie, state.graph?.seconds ?? 1)],
    heading("Flows"),
    flows.element,
  );
}

function numbers(tie: Tie, seconds: number): readonly HTMLElement[] {
  const { flows, failed, total } = tie;
  return [
    el(
      "p",
      { class: "verdicts" },
      VERDICTS.filter((verdict) => flows[verdict] > 0).map((verdict) =>
        el("span", { class: "verdict-count" }, verdictTag(verdict), " ", String(flows[verdict])),
      ),
    ),
    facts([
      ["rate", rate(total, seconds)],
      ["failed", failed + flows.error === 0 ? "none" : percent(failed + flows.error, total)],
      ["took", tie.p50Ms === null ? "" : `half within ${duration(tie.p50Ms)}, 99 % within ${duration(tie.p99Ms)}`],
      ["moved", bytes(tie.bytes)],
      ["between", el("span", { class: "with-icon" }, icon(lockOf(tie)), lockWords(tie))],
    ]),
  ];
}

function ports({ edges }: Tie, seconds: number): HTMLElement | null {
  if (edges.length < 2) {
    const [edge] = edges;
    return edge === undefined
      ? null
      : facts([
          ["port", `${edge.port}, ${edge.protocol}`],
          ["key exchange", edge.group],
        ]);
  }
  return el(
    "table",
    { class: "ports" },
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        ["Port", "Rate", "Denied", "p99", "Key exchange"].map((title) => el("th", { scope: "col" }, title)),
      ),
    ),
    el(
      "tbody",
      {},
      edges.map((edge) =>
        el(
          "tr",
          {},
          el("td", {}, `${edge.port} ${edge.protocol}`),
          el("td", { class: "number" }, rate(edge.total, seconds)),
          el("td", { class: "number" }, String(edge.flows.denied)),
          el("td", { class: "number" }, duration(edge.p99Ms)),
          el("td", {}, edge.tls === "mutual" ? (edge.group ?? "TLS") : "no TLS"),
        ),
      ),
    ),
  );
}
