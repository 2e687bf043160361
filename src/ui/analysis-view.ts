import { ask } from "./ask.ts";
import { el, fill } from "./dom.ts";
import { loading, notice, type Select } from "./parts.ts";
import { policiesView } from "./policies-view.ts";
import { readinessView } from "./readiness-view.ts";
import type { State } from "./state.ts";

/** The views that are asked for when they are looked at: policies and their use, and readiness. */
export class AnalysisView {
  readonly element = el("section", { class: "page" });
  readonly #select: Select;
  readonly #rangeOf: (state: State) => { readonly from: number; readonly to: number };
  #shown = "";

  constructor(select: Select, rangeOf: AnalysisView["range"]) {
    this.#select = select;
    this.#rangeOf = rangeOf;
  }

  range(state: State): { readonly from: number; readonly to: number } {
    return this.#rangeOf(state);
  }

  show(state: State): void {
    const { tab, windowMs, endMs, mesh } = state;
    if (tab !== "policies" && tab !== "readiness") return;
    const key = JSON.stringify([tab, windowMs, endMs, mesh?.revision]);
    if (key === this.#shown) return;
    this.#shown = key;
    fill(this.element, loading());
    const range = this.#rangeOf(state);
    const content =
      tab === "policies"
        ? ask("coverage", range).then((answer) => policiesView(answer, this.#select))
        : ask("readiness", range).then((answer) => readinessView(answer, this.#select));
    void content
      .catch((error: Error) => [notice("bad", error.message)])
      .then((made) => {
        if (this.#shown === key) fill(this.element, made);
      });
  }

  /** The next look asks again. */
  forget(): void {
    this.#shown = "";
  }
}
