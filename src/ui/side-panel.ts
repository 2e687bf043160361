import type { MapExplanation } from "../api/map-messages.ts";
import { ask } from "./ask.ts";
import { el, fill } from "./dom.ts";
import { FlowList } from "./flow-list.ts";
import { flowPanel } from "./flow-panel.ts";
import { icon } from "./icons.ts";
import { meshPanel } from "./mesh-panel.ts";
import { nodePanel } from "./node-panel.ts";
import { loading, notice, type Select } from "./parts.ts";
import type { Selection, State } from "./state.ts";
import { tiePanel } from "./tie-panel.ts";

export interface SidePanelParts {
  readonly select: Select;
  readonly onBlast: (id: string | null) => void;
  /** An explanation is there. */
  readonly onStory: (story: MapExplanation) => void;
  rangeOf(state: State): { readonly from: number; readonly to: number };
}

/** What the selection is about, beside the map. */
export class SidePanel {
  readonly element = el("aside", { class: "panel", aria: { label: "Details" }, tabindex: -1 });
  readonly #body = el("div", { class: "panel-body" });
  readonly #close: HTMLElement;
  readonly #parts: SidePanelParts;
  readonly #tieFlows: FlowList;
  readonly #nodeFlows: FlowList;
  #shown = "";

  constructor(parts: SidePanelParts) {
    this.#parts = parts;
    this.#tieFlows = new FlowList(parts.select, false);
    this.#nodeFlows = new FlowList(parts.select, true);
    this.#close = el(
      "button",
      {
        type: "button",
        class: "tool close",
        title: "Close (Esc)",
        aria: { label: "Close" },
        on: { click: () => parts.select({ at: "mesh" }) },
      },
      icon("close"),
    );
    this.element.append(this.#close, this.#body);
  }

  show(state: State): void {
    const { selection } = state;
    const key = selection.at === "flow" ? `flow ${selection.id}` : JSON.stringify(selection);
    const isNew = key !== this.#shown;
    this.#shown = key;
    this.#close.hidden = selection.at === "mesh";
    this.element.dataset["at"] = selection.at;
    if (isNew) this.element.scrollTop = 0;
    if (selection.at === "flow") {
      if (isNew) this.#showFlow(selection);
    } else fill(this.#body, this.#content(selection, state));
  }

  #content(selection: Exclude<Selection, { at: "flow" }>, state: State): HTMLElement {
    const { select, onBlast } = this.#parts;
    if (state.graph === null) return loading();
    if (selection.at === "mesh") return meshPanel(state, select);
    const { from, to } = this.#parts.rangeOf(state);
    if (selection.at === "node") {
      const { id } = selection;
      this.#nodeFlows.show({ from, to, workload: id }, `${id} ${state.windowMs} ${state.endMs}`);
      return nodePanel(state, id, { select, onBlast, flows: this.#nodeFlows });
    }
    const { from: source, to: destination } = selection;
    this.#tieFlows.show({ from, to, source, destination }, `${source}>${destination} ${state.windowMs} ${state.endMs}`);
    return tiePanel(state, selection, { select, flows: this.#tieFlows });
  }

  #showFlow({ id }: Extract<Selection, { at: "flow" }>): void {
    const asked = this.#shown;
    fill(this.#body, loading());
    void ask("explanation", { id })
      .catch((error: Error) => error)
      .then((story) => {
        if (this.#shown !== asked) return;
        if (!(story instanceof Error)) this.#parts.onStory(story);
        fill(this.#body, story instanceof Error ? notice("bad", story.message) : flowPanel(story, this.#parts.select));
        this.element.focus({ preventScroll: true });
      });
  }
}
