import type { MapFlow } from "../api/map-messages.ts";
import { ask, type Query } from "./ask.ts";
import { nowMs } from "./browser.ts";
import { el, fill } from "./dom.ts";
import { flowTable, loading, type Select, verdictWords } from "./parts.ts";
import { VERDICTS } from "./ties.ts";

/** Flows of something, page by page, with a filter. */
export class FlowList {
  readonly element = el("div", { class: "flow-list" });
  readonly #select: Select;
  readonly #ends: boolean;
  readonly #body = el("div", {});
  readonly #verdict: HTMLSelectElement;
  readonly #path: HTMLInputElement;
  #query: Query = {};
  #key = "";
  #flows: readonly MapFlow[] = [];
  #cursor: string | null = null;
  #asking: AbortController | null = null;

  constructor(select: Select, ends: boolean) {
    this.#select = select;
    this.#ends = ends;
    this.#verdict = el(
      "select",
      { name: "verdict", aria: { label: "Verdict" }, on: { change: () => void this.#ask(null) } },
      el("option", { value: "" }, "every verdict"),
      VERDICTS.map((verdict) => el("option", { value: verdict }, verdictWords(verdict))),
    );
    this.#path = el("input", {
      type: "search",
      name: "path",
      placeholder: "path contains …",
      aria: { label: "Path contains" },
      autocomplete: "off",
      spellcheck: "false",
      on: { change: () => void this.#ask(null) },
    });
    this.element.append(el("div", { class: "filters" }, this.#verdict, this.#path), this.#body);
  }

  /** Asks, if the question is another than the last. A moving range is the same question: it is asked again in its place. */
  show(query: Query, key: string): void {
    this.#query = query;
    if (key !== this.#key) {
      this.#key = key;
      this.#flows = [];
      this.#cursor = null;
      this.#verdict.value = "";
      this.#path.value = "";
      fill(this.#body, loading());
      void this.#ask(null);
    } else if (this.#flows.length <= 2 * PAGE) void this.#ask(null);
  }

  async #ask(cursor: string | null): Promise<void> {
    this.#asking?.abort();
    const asking = new AbortController();
    this.#asking = asking;
    const verdict = this.#verdict.value === "" ? null : this.#verdict.value;
    const path = this.#path.value === "" ? null : this.#path.value;
    try {
      let flows = cursor === null ? [] : this.#flows;
      const had = flows.length;
      let at: string | null = cursor;
      // An answer may be short: where little fits a filter, it is asked for some more.
      for (let turn = 0; turn < TURNS_MAX && flows.length === had && (turn === 0 || at !== null); turn++) {
        const answer = await ask("flows", { ...this.#query, verdict, path, cursor: at, limit: PAGE }, asking.signal);
        if (asking.signal.aborted) return;
        flows = [...flows, ...answer.flows];
        at = answer.cursor;
      }
      this.#flows = flows;
      this.#cursor = at;
      this.#show();
    } catch (error) {
      if (!asking.signal.aborted) fill(this.#body, el("p", { class: "quiet" }, (error as Error).message));
    }
  }

  #show(): void {
    fill(
      this.#body,
      this.#flows.length === 0
        ? el("p", { class: "quiet" }, "No such flow in this span of time.")
        : flowTable(this.#flows, { select: this.#select, nowMs: nowMs(), ends: this.#ends }),
      this.#cursor !== null &&
        el(
          "button",
          {
            type: "button",
            class: "button more",
            data: { key: "older" },
            on: { click: () => void this.#ask(this.#cursor) },
          },
          "Older flows",
        ),
    );
  }
}

const PAGE = 50;
const TURNS_MAX = 6;
