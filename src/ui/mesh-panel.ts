import { nowMs } from "./browser.ts";
import { el } from "./dom.ts";
import { ago, duration, percent, plural, rate } from "./format.ts";
import { facts, heading, nodeName, notice, requestWords, type Select, verdictTag } from "./parts.ts";
import type { State } from "./state.ts";
import { type Tie, worstOf } from "./ties.ts";

const DENIALS_SHOWN = 30;
const TROUBLE_SHOWN = 12;

/** The mesh at a glance: how much, how well, and what was denied. */
export function meshPanel(state: State, select: Select): HTMLElement {
  const { mesh, graph, ties } = state;
  if (mesh === null || graph === null) return el("div", {});
  const total = sumOf(ties, (tie) => tie.total);
  const failed = sumOf(ties, (tie) => tie.failed + tie.flows.error);
  const denied = sumOf(ties, (tie) => tie.flows.denied);
  const would = sumOf(ties, (tie) => tie.flows["would-deny"]);
  return el(
    "div",
    {},
    el("h2", {}, mesh.name),
    el("p", { class: "quiet" }, `trust domain ${mesh.trustDomain}`),
    mesh.faults.length > 0 &&
      notice(
        "bad",
        el("strong", {}, "The policy files as they are now are not in force."),
        el(
          "ul",
          {},
          mesh.faults.slice(0, 5).map((fault) => el("li", {}, fault)),
        ),
      ),
    el(
      "div",
      { class: "figures" },
      figure("requests", rate(total, graph.seconds)),
      figure("denied", String(denied), denied > 0 ? "denied" : ""),
      would > 0 && figure("would be denied", String(would), "would-deny"),
      figure("failed", percent(failed, total), failed > 0 ? "error" : ""),
    ),
    facts([
      [
        "workloads",
        `${mesh.workloads}, ${mesh.connectedSidecars === mesh.workloads ? "all sidecars in touch" : `${mesh.connectedSidecars} sidecars in touch`}`,
      ],
      [
        "policies",
        mesh.revision === null ? "none in force" : `${mesh.policies}, revision ${mesh.revision.slice(0, 12)}`,
      ],
      ["what no rule allows", mesh.defaultAction === "DENY" ? "is denied" : "is allowed"],
      ["enforcement", mesh.enforcement === "ENFORCE" ? "ENFORCE: denials are denials" : "AUDIT: nothing is blocked"],
      ["you see", mesh.reads === "all" ? "" : `namespaces ${mesh.reads.join(", ")}`],
      ["lost on the way", graph.lostFlows === 0 ? "" : plural(graph.lostFlows, "flow record")],
    ]),
    trouble(ties, select),
    heading("Denied as it happens"),
    state.denials.length === 0
      ? el("p", { class: "quiet" }, "Nothing since this page was opened.")
      : el(
          "ol",
          { class: "feed" },
          state.denials.slice(0, DENIALS_SHOWN).map((flow) => denial(flow, select)),
        ),
  );
}

function trouble(ties: readonly Tie[], select: Select): readonly HTMLElement[] {
  const bad = ties
    .filter((tie) => worstOf(tie) !== "allowed" || tie.failed > 0)
    .toSorted((one, other) => badnessOf(other) - badnessOf(one));
  if (bad.length === 0) return [];
  return [
    heading("Worth a look"),
    el(
      "ul",
      { class: "rows" },
      bad.slice(0, TROUBLE_SHOWN).map((tie) =>
        el(
          "li",
          {},
          el(
            "button",
            {
              type: "button",
              class: "row",
              data: { key: `tie ${tie.id}` },
              on: { click: () => select({ at: "tie", from: tie.from, to: tie.to }) },
            },
            el("span", { class: "row-main" }, `${nodeName(tie.from)} → ${nodeName(tie.to)}`),
            el("span", { class: "row-side row-line" }, sideOf(tie)),
          ),
        ),
      ),
    ),
    ...(bad.length > TROUBLE_SHOWN
      ? [el("p", { class: "quiet" }, `and ${bad.length - TROUBLE_SHOWN} more in the list`)]
      : []),
  ];
}

function sideOf(tie: Tie): HTMLElement {
  const worst = worstOf(tie);
  if (worst !== "allowed") return el("span", {}, String(tie.flows[worst]), " ", verdictTag(worst));
  return el("span", {}, `${percent(tie.failed, tie.total)} failed, p99 ${duration(tie.p99Ms)}`);
}

function badnessOf({ flows, failed }: Tie): number {
  return flows.denied * 1e6 + flows["would-deny"] * 1e3 + flows.error + failed;
}

function denial(flow: State["denials"][number], select: Select): HTMLElement {
  return el(
    "li",
    {},
    el(
      "button",
      {
        type: "button",
        class: "row",
        data: { key: `denial ${flow.id}` },
        on: { click: () => select({ at: "flow", id: flow.id }) },
      },
      el(
        "span",
        { class: "row-main" },
        el("span", { class: "row-title" }, `${nodeName(flow.from)} → ${nodeName(flow.to)}`),
        el("span", { class: "row-text" }, requestWords(flow)),
      ),
      el(
        "span",
        { class: "row-side" },
        verdictTag(flow.verdict),
        el("span", { class: "quiet" }, ago(nowMs() - flow.timeMs)),
      ),
    ),
  );
}

function figure(label: string, value: string, kind = ""): HTMLElement {
  return el(
    "div",
    { class: `figure ${kind}` },
    el("span", { class: "figure-value" }, value),
    el("span", { class: "figure-label" }, label),
  );
}

function sumOf(ties: readonly Tie[], value: (tie: Tie) => number): number {
  return ties.reduce((sum, tie) => sum + value(tie), 0);
}
