import type { MapFlow } from "../api/map-messages.ts";
import { ask, AskError, listen } from "./ask.ts";
import { later, nowMs } from "./browser.ts";
import { extend, layOut } from "./layout.ts";
import { readView, type State, type Store, type View, writeView } from "./state.ts";
import { tiesOf } from "./ties.ts";

const LIVE_MS = 5_000;
/** Denials that come one after the other are drawn together. */
const SOON_MS = 600;
const DENIALS_KEPT = 200;
const DAY_MS = 86_400_000;

/** Asks the control plane for what the page shows, again and again while it is live. */
export class Controller {
  readonly #store: Store;
  #asking: AbortController | null = null;
  #next: () => void = () => {};

  constructor(store: Store) {
    this.#store = store;
  }

  async start(): Promise<void> {
    this.#store.set(readView(location.hash));
    addEventListener("popstate", () => this.#change(readView(location.hash)));
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) void this.refresh();
    });
    await this.#place();
    await this.refresh();
    void listen({
      onDenials: (flows) => this.#onDenials(flows),
      onChanged: () => void this.refresh(),
      onState: (isConnected) => {
        // A control plane that is back may know more.
        if (isConnected) void this.refresh();
      },
    });
  }

  /** Another view, which the address then names. */
  go(changes: Partial<View>): void {
    const before = this.#store.get();
    this.#change(changes);
    const after = this.#store.get();
    const hash = writeView(after);
    const url = hash === "" ? location.pathname : `#${hash}`;
    // Dragging a slider is one step back, not a hundred.
    const isStep = JSON.stringify([before.tab, before.selection]) !== JSON.stringify([after.tab, after.selection]);
    if (isStep) history.pushState(null, "", url);
    else history.replaceState(null, "", url);
  }

  async showBlast(id: string | null): Promise<void> {
    if (id === null) {
      this.#store.set({ blast: null });
      return;
    }
    try {
      this.#store.set({ blast: await ask("blast-radius", { workload: id }), refusal: null });
    } catch (error) {
      this.#failed(error);
    }
  }

  /** The span of time that is looked at. */
  range({ windowMs, endMs }: View): { readonly from: number; readonly to: number } {
    const to = endMs ?? nowMs();
    return { from: Math.floor(to - windowMs), to: Math.ceil(to) };
  }

  async refresh(): Promise<void> {
    this.#next();
    this.#asking?.abort();
    const asking = new AbortController();
    this.#asking = asking;
    const state = this.#store.get();
    try {
      const { from, to } = this.range(state);
      const [mesh, graph] = await Promise.all([
        ask("mesh", {}, asking.signal),
        ask("graph", { from, to }, asking.signal),
      ]);
      if (asking.signal.aborted) return;
      const layout = extend(this.#store.get().layout, graph.nodes, graph.edges);
      const answered = { connection: "live", answeredMs: nowMs(), refusal: null, needsToken: false } as const;
      this.#store.set({ mesh, graph, ties: tiesOf(graph), layout, ...answered });
    } catch (error) {
      if (asking.signal.aborted) return;
      this.#failed(error);
    }
    this.#again(LIVE_MS);
  }

  /** Places all that was ever seen, so that no span of time looks otherwise than another. */
  async #place(): Promise<void> {
    try {
      const mesh = await ask("mesh");
      const to = nowMs();
      const from = Math.min(mesh.span?.fromMs ?? to - DAY_MS, to - DAY_MS);
      const graph = await ask("graph", { from: Math.floor(from), to });
      this.#store.set({ mesh, layout: layOut(graph.nodes, graph.edges) });
    } catch (error) {
      this.#failed(error);
    }
  }

  #change(changes: Partial<View>): void {
    const before = this.#store.get();
    const selected =
      changes.selection !== undefined && JSON.stringify(changes.selection) !== JSON.stringify(before.selection);
    this.#store.set({ ...changes, ...(selected ? { blast: null } : {}) });
    const { windowMs, endMs } = this.#store.get();
    if (windowMs !== before.windowMs || endMs !== before.endMs) void this.refresh();
  }

  #onDenials(flows: readonly MapFlow[]): void {
    const newest = flows.toReversed();
    const { denials, endMs } = this.#store.get();
    this.#store.set({ denials: [...newest, ...denials].slice(0, DENIALS_KEPT) });
    if (endMs === null) this.#again(SOON_MS);
  }

  #again(ms: number): void {
    this.#next();
    this.#next = later(ms, () => {
      // What lies behind does not change, and nobody looks at a hidden page.
      if (!document.hidden) void this.refresh();
    });
  }

  #failed(error: unknown): void {
    if (!(error instanceof AskError)) throw error;
    const changes: Partial<State> =
      error.kind === "token"
        ? { needsToken: true }
        : error.kind === "away"
          ? { connection: "away" }
          : { refusal: error.message };
    this.#store.set(changes);
  }
}
