import type { MapBlast } from "../api/map-messages.ts";
import { el } from "./dom.ts";
import { percent, plural, rate } from "./format.ts";
import type { FlowList } from "./flow-list.ts";
import { icon } from "./icons.ts";
import { facts, heading, nodeLink, nodeName, notice, type Select, verdictTag } from "./parts.ts";
import type { State } from "./state.ts";
import { lockOf, lockWords } from "./tie-chips.ts";
import { type Tie, worstOf } from "./ties.ts";

export interface NodePanelParts {
  readonly select: Select;
  readonly flows: FlowList;
  readonly onBlast: (id: string | null) => void;
}

/** One service: who it is, whom it talks to, and what a breach of it could reach. */
export function nodePanel(state: State, id: string, parts: NodePanelParts): HTMLElement {
  const node = state.graph?.nodes.find((each) => each.id === id);
  const { select } = parts;
  if (node === undefined)
    return el(
      "div",
      {},
      el("h2", {}, nodeName(id)),
      el("p", { class: "quiet" }, "It is not in the registry, and nothing was heard of it in this span of time."),
    );
  return el(
    "div",
    {},
    el("h2", {}, node.name),
    el("p", { class: "quiet" }, node.namespace === null ? outsideWords(id) : `namespace ${node.namespace}`),
    facts([
      ["identity", node.principal === null ? "" : el("code", {}, node.principal)],
      ["service", node.service],
      [
        "sidecar",
        node.isConnected === null
          ? node.kind === "outside"
            ? ""
            : "not in the registry now"
          : node.isConnected
            ? "in touch with the control plane"
            : "not in touch with the control plane",
      ],
    ]),
    node.isRegistered && blast(state, id, parts),
    tieRows(
      "Called by",
      state.ties.filter(({ to }) => to === id),
      { select, seconds: state.graph?.seconds ?? 1, other: ({ from }) => from },
    ),
    tieRows(
      "Calls",
      state.ties.filter(({ from }) => from === id),
      { select, seconds: state.graph?.seconds ?? 1, other: ({ to }) => to },
    ),
    heading("Flows"),
    parts.flows.element,
  );
}

function outsideWords(id: string): string {
  if (id === "/no identity") return "callers that showed no certificate of the mesh";
  return id === "/unknown destination" ? "what somebody asked for, and no registry knows" : "outside of the mesh";
}

function blast(state: State, id: string, { onBlast, select }: NodePanelParts): HTMLElement {
  const shown = state.blast?.workload === id ? state.blast : null;
  const button = el(
    "button",
    {
      type: "button",
      class: "button",
      data: { key: "blast" },
      aria: { pressed: shown !== null },
      on: { click: () => onBlast(shown === null ? id : null) },
    },
    icon("blast"),
    shown === null ? "What could a breach of it reach?" : "Hide the blast radius",
  );
  return el("div", { class: "blast" }, button, shown !== null && blastStory(shown, select));
}

function blastStory(blastRadius: MapBlast, select: Select): HTMLElement {
  const { reached, hidden, others, direct, unknown } = blastRadius;
  const count = reached.length + hidden;
  return el(
    "div",
    { class: "blast-story" },
    el(
      "p",
      {},
      count === 0
        ? "Nothing: no policy lets its identity call anybody."
        : `${plural(count, "workload")} of ${others} (${percent(count, others)}), if each that it may call can be taken over in turn.`,
    ),
    hidden > 0 && el("p", { class: "quiet" }, `${hidden} of them in namespaces that you may not see.`),
    unknown.length > 0 && notice("warn", `Not known, for there is too much to tell apart: ${unknown.join(", ")}.`),
    el(
      "ul",
      { class: "rows" },
      reached.map(({ to, hops, via }) =>
        el(
          "li",
          { class: "blast-row" },
          el("span", { class: "hops", title: plural(hops, "hop") }, hops),
          el(
            "span",
            { class: "row-main" },
            nodeLink(to, select, "blast"),
            el(
              "span",
              { class: "row-text" },
              hops > 1 ? `by way of ${nodeName(via)}` : wordsOf(direct.filter((each) => each.to === to)),
            ),
          ),
        ),
      ),
    ),
  );
}

function wordsOf(direct: MapBlast["direct"]): string {
  return direct
    .flatMap(({ port, grants }) =>
      grants.map(({ by, example }) => `${example}${port === null ? "" : ` on port ${port}`} (${by})`),
    )
    .slice(0, 4)
    .join("; ");
}

function tieRows(
  title: string,
  ties: readonly Tie[],
  {
    select,
    seconds,
    other,
  }: { readonly select: Select; readonly seconds: number; readonly other: (tie: Tie) => string },
): readonly HTMLElement[] {
  if (ties.length === 0) return [];
  return [
    heading(title),
    el(
      "ul",
      { class: "rows" },
      ties
        .toSorted((one, another) => another.total - one.total)
        .map((tie) =>
          el(
            "li",
            {},
            el(
              "button",
              {
                type: "button",
                class: "row",
                data: { key: `${title} ${tie.id}` },
                on: { click: () => select({ at: "tie", from: tie.from, to: tie.to }) },
              },
              el(
                "span",
                { class: "row-main with-icon" },
                el("span", { title: lockWords(tie), class: "lock" }, icon(lockOf(tie))),
                nodeName(other(tie)),
              ),
              el(
                "span",
                { class: "row-side row-line" },
                worstOf(tie) === "allowed" ? null : [String(tie.flows[worstOf(tie)]), " ", verdictTag(worstOf(tie))],
                " ",
                rate(tie.total, seconds),
              ),
            ),
          ),
        ),
    ),
  ];
}
