import { nowMs, recall, remember } from "./browser.ts";
import { el, setText } from "./dom.ts";
import { ago } from "./format.ts";
import { icon } from "./icons.ts";
import { type State, type Store, type Tab, TABS } from "./state.ts";

const TITLES: Readonly<Record<Tab, string>> = {
  map: "Map",
  list: "List",
  policies: "Policies",
  readiness: "Readiness",
};

/** Name, views, search, theme, and whether the control plane is there. */
export class Header {
  readonly element: HTMLElement;
  readonly search: HTMLInputElement;
  readonly #name = el("span", { class: "mesh-name" });
  readonly #state = el("span", { class: "connection", role: "status" });
  readonly #tabs: ReadonlyMap<Tab, HTMLButtonElement>;

  constructor(store: Store, go: (changes: Partial<State>) => void, onTheme: () => void) {
    this.#tabs = new Map(
      TABS.map((tab) => [
        tab,
        el("button", { type: "button", class: "tab", on: { click: () => go({ tab }) } }, TITLES[tab]),
      ]),
    );
    this.search = el("input", {
      type: "search",
      name: "find",
      class: "search-input",
      placeholder: "Find a service   /",
      aria: { label: "Find a service" },
      autocomplete: "off",
      spellcheck: "false",
      on: { input: () => store.set({ search: this.search.value }) },
    });
    this.element = el(
      "header",
      { class: "header" },
      el("span", { class: "logo" }, el("span", { class: "logo-mark", aria: { hidden: true } }), el("h1", {}, "Cardea")),
      this.#name,
      el("nav", { class: "tabs", aria: { label: "Views" } }, [...this.#tabs.values()]),
      el("span", { class: "spacer" }),
      this.#state,
      el("label", { class: "search" }, icon("search"), this.search),
      themeButton(onTheme),
    );
  }

  show({ tab, mesh, connection, answeredMs }: State): void {
    setText(this.#name, mesh?.name ?? "");
    for (const [each, button] of this.#tabs) {
      if (each === tab) button.setAttribute("aria-current", "page");
      else button.removeAttribute("aria-current");
    }
    this.#state.className = `connection connection-${connection}`;
    const last = answeredMs === null ? "" : `, last heard ${ago(nowMs() - answeredMs)}`;
    setText(
      this.#state,
      connection === "live" ? "connected" : connection === "away" ? `control plane away${last}` : "connecting",
    );
  }
}

/** Dark, light, or as the system has it. */
export function applyTheme(): void {
  const theme = recall("theme");
  if (theme === "dark" || theme === "light") document.documentElement.dataset["theme"] = theme;
  else delete document.documentElement.dataset["theme"];
}

function themeButton(onTheme: () => void): HTMLElement {
  const button = el("button", { type: "button", class: "tool theme", on: { click: () => turn() } });
  const show = (): void => {
    const label = isDark() ? "Light theme" : "Dark theme";
    button.replaceChildren(icon(isDark() ? "sun" : "moon"));
    button.title = label;
    button.setAttribute("aria-label", label);
    onTheme();
  };
  const turn = (): void => {
    const next = isDark() ? "light" : "dark";
    const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    // What the system says needs no word of ours, and follows it from then on.
    remember("theme", next === system ? null : next);
    applyTheme();
    show();
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  show();
  return button;
}

function isDark(): boolean {
  const theme = document.documentElement.dataset["theme"];
  return theme === undefined ? matchMedia("(prefers-color-scheme: dark)").matches : theme === "dark";
}
