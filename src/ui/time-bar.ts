import { nowMs } from "./browser.ts";
import { el, setText } from "./dom.ts";
import { moment } from "./format.ts";
import { type State, WINDOWS } from "./state.ts";

const STEP_MS = 60_000;

/** Which span of time is looked at: now, or anything that is stored. */
export class TimeBar {
  readonly element: HTMLElement;
  readonly #live: HTMLButtonElement;
  readonly #slider: HTMLInputElement;
  readonly #window: HTMLSelectElement;
  readonly #words = el("output", { class: "span-words" });
  readonly #first = el("span", { class: "span-end" });

  constructor(go: (changes: Pick<Partial<State>, "windowMs" | "endMs">) => void) {
    this.#live = el(
      "button",
      { type: "button", class: "live", on: { click: () => go({ endMs: null }) } },
      el("span", { class: "live-dot", aria: { hidden: true } }),
      "Live",
    );
    this.#window = el(
      "select",
      {
        name: "window",
        aria: { label: "How much time" },
        on: { change: () => go({ windowMs: Number(this.#window.value) }) },
      },
      WINDOWS.map(({ ms, label }) => el("option", { value: ms }, label)),
    );
    this.#slider = el("input", {
      type: "range",
      name: "until",
      class: "slider",
      step: STEP_MS,
      aria: { label: "Until when" },
      on: { input: () => go({ endMs: this.#chosen() }) },
    });
    this.element = el(
      "footer",
      { class: "time-bar", aria: { label: "Time" } },
      this.#live,
      this.#window,
      this.#first,
      this.#slider,
      el("span", { class: "span-end" }, "now"),
      this.#words,
    );
  }

  show({ mesh, windowMs, endMs, graph }: State): void {
    const now = nowMs();
    const fromMs = Math.min(mesh?.span?.fromMs ?? now, now - 10 * STEP_MS);
    const [min, max] = [Math.floor(fromMs / STEP_MS) * STEP_MS, Math.ceil(now / STEP_MS) * STEP_MS];
    this.#slider.min = String(min);
    this.#slider.max = String(max);
    this.#slider.value = String(endMs ?? max);
    this.#slider.style.setProperty("--part", `${((Number(this.#slider.value) - min) / Math.max(1, max - min)) * 100}%`);
    this.#window.value = String(windowMs);
    this.#live.setAttribute("aria-pressed", String(endMs === null));
    const until = endMs === null ? now : endMs;
    const start = graph === null ? until - windowMs : Math.max(graph.fromMs, 0);
    const words = `${moment(start, now)} – ${endMs === null ? "now" : moment(endMs, now)}`;
    setText(this.#words, words);
    setText(this.#first, moment(fromMs, now));
    this.#slider.setAttribute("aria-valuetext", endMs === null ? "now" : moment(endMs, now));
  }

  /** At its end it is now again. */
  #chosen(): number | null {
    const value = Number(this.#slider.value);
    return value >= Number(this.#slider.max) ? null : value;
  }
}
