import { AnalysisView } from "./analysis-view.ts";
import { Controller } from "./controller.ts";
import { el, fill } from "./dom.ts";
import { GraphView } from "./graph-view.ts";
import { applyTheme, Header } from "./header.ts";
import { ListView } from "./list-view.ts";
import { notice, type Select } from "./parts.ts";
import { SidePanel } from "./side-panel.ts";
import { signIn } from "./sign-in.ts";
import { type State, Store } from "./state.ts";
import { TimeBar } from "./time-bar.ts";

let bannerText = "";

applyTheme();
const store = new Store();
const controller = new Controller(store);
const select: Select = (selection) => {
  const { tab } = store.get();
  // What is opened from a list is looked at beside the map.
  controller.go({ selection, tab: tab === "map" || tab === "list" ? tab : "map" });
};
const graph = new GraphView(select);
const header = new Header(
  store,
  (changes) => controller.go(changes),
  () => graph.recolour(),
);
const list = new ListView(select, () => list.show(store.get()));
const analysis = new AnalysisView(select, (state) => controller.range(state));
const panel = new SidePanel({
  select,
  onBlast: (id) => void controller.showBlast(id),
  onStory: ({ flow: { from, to } }) => {
    const { selection } = store.get();
    if (selection.at === "flow") store.set({ selection: { ...selection, from, to } });
  },
  rangeOf: (state) => controller.range(state),
});
const timeBar = new TimeBar((changes) => controller.go(changes));
const banner = el("div", { class: "banners", role: "status" });
const cover = el("div", { class: "covers" });
const main = el("main", { class: "main" }, graph.element, list.element, analysis.element, panel.element);
document.body.append(header.element, banner, main, timeBar.element, cover);

store.subscribe(show);
addEventListener("keydown", onKey);
show(store.get(), store.get());
void controller.start();

function show(state: State, before: State): void {
  const { tab } = state;
  header.show(state);
  timeBar.show(state);
  graph.element.hidden = tab !== "map";
  list.element.hidden = tab !== "list";
  analysis.element.hidden = tab !== "policies" && tab !== "readiness";
  panel.element.hidden = !analysis.element.hidden;
  main.dataset["tab"] = tab;
  if (tab === "map") graph.show(state);
  if (tab === "list") list.show(state);
  if (tab !== before.tab) analysis.forget();
  analysis.show(state);
  if (!panel.element.hidden) panel.show(state);
  showBanners(state);
  if (state.needsToken !== before.needsToken) fill(cover, state.needsToken && signIn(() => location.reload()));
}

function showBanners({ connection, answeredMs, refusal }: State): void {
  const away =
    answeredMs === null
      ? "The control plane does not answer. Asking again …"
      : "The control plane does not answer: what you see is what was known. Sidecars go on with what they have. Asking again …";
  const text = connection === "away" ? away : (refusal ?? "");
  if (text === bannerText) return;
  bannerText = text;
  fill(banner, text !== "" && notice(connection === "away" ? "warn" : "bad", text));
}

function onKey(event: KeyboardEvent): void {
  const { key, target } = event;
  const isTyping = target instanceof HTMLElement && target.matches("input, select, textarea");
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (key === "Escape" && !event.defaultPrevented) {
    if (isTyping && target instanceof HTMLInputElement && target.value !== "") return;
    select({ at: "mesh" });
  } else if (key === "/" && !isTyping) {
    event.preventDefault();
    header.search.focus();
  } else if (key === "l" && !isTyping) controller.go({ endMs: null });
}
