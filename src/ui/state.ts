import type { MapBlast, MapFlow, MapGraph, MapMesh } from "../api/map-messages.ts";
import type { Layout } from "./layout.ts";
import type { Tie } from "./ties.ts";

export const TABS = ["map", "list", "policies", "readiness"] as const;
export type Tab = (typeof TABS)[number];

/** What the panel beside the map is about. */
export type Selection =
  | { readonly at: "mesh" }
  | { readonly at: "node"; readonly id: string }
  | { readonly at: "tie"; readonly from: string; readonly to: string }
  /** Its ends are known once its explanation is there. */
  | { readonly at: "flow"; readonly id: string; readonly from?: string; readonly to?: string };

/** What stands in the address, so that a view can be passed on. */
export interface View {
  readonly tab: Tab;
  readonly selection: Selection;
  /** How much is summed up. */
  readonly windowMs: number;
  /** Up to when; null: now. */
  readonly endMs: number | null;
}

export type Connection = "connecting" | "live" | "away";

export interface State extends View {
  readonly mesh: MapMesh | null;
  readonly graph: MapGraph | null;
  readonly ties: readonly Tie[];
  readonly layout: Layout;
  readonly connection: Connection;
  /** When the control plane answered last, by the clock of this machine. */
  readonly answeredMs: number | null;
  readonly needsToken: boolean;
  /** Why the last question was refused. */
  readonly refusal: string | null;
  /** As they came since the page was opened, the newest first. */
  readonly denials: readonly MapFlow[];
  readonly search: string;
  /** Shown over the map. */
  readonly blast: MapBlast | null;
}

export const WINDOWS = [
  { ms: 300_000, label: "5 min" },
  { ms: 900_000, label: "15 min" },
  { ms: 3_600_000, label: "1 hour" },
  { ms: 21_600_000, label: "6 hours" },
  { ms: 86_400_000, label: "1 day" },
  { ms: 604_800_000, label: "7 days" },
] as const;

export const FIRST_VIEW: View = { tab: "map", selection: { at: "mesh" }, windowMs: 900_000, endMs: null };

const EMPTY: Layout = { nodes: new Map(), groups: [], bounds: { x: 0, y: 0, width: 1, height: 1 } };

export const FIRST_STATE: State = {
  ...FIRST_VIEW,
  mesh: null,
  graph: null,
  ties: [],
  layout: EMPTY,
  connection: "connecting",
  answeredMs: null,
  needsToken: false,
  refusal: null,
  denials: [],
  search: "",
  blast: null,
};

/** The state of the page: one, changed in one place, shown by whoever subscribes. */
export class Store {
  #state: State;
  readonly #listeners = new Set<(state: State, before: State) => void>();

  constructor(state: State = FIRST_STATE) {
    this.#state = state;
  }

  get(): State {
    return this.#state;
  }

  set(changes: Partial<State>): void {
    const before = this.#state;
    this.#state = { ...before, ...changes };
    for (const listener of this.#listeners) listener(this.#state, before);
  }

  subscribe(listener: (state: State, before: State) => void): void {
    this.#listeners.add(listener);
  }
}

/** The view as the address has it, after the `#`. */
export function writeView({ tab, selection, windowMs, endMs }: View): string {
  const params = new URLSearchParams();
  if (tab !== "map") params.set("tab", tab);
  if (selection.at === "node") params.set("workload", selection.id);
  if (selection.at === "tie") {
    params.set("from", selection.from);
    params.set("to", selection.to);
  }
  if (selection.at === "flow") params.set("flow", selection.id);
  if (windowMs !== FIRST_VIEW.windowMs) params.set("window", String(windowMs / 1_000));
  if (endMs !== null) params.set("until", String(endMs));
  return params.toString();
}

/** Whatever it says; what it does not say, or says wrongly, is as at first. */
export function readView(hash: string): View {
  const params = new URLSearchParams(hash.replace(/^#/, ""));
  const windowMs = Number(params.get("window")) * 1_000;
  const untilText = params.get("until");
  const endMs = untilText !== null && /^\d{1,16}$/.test(untilText) ? Number(untilText) : null;
  return {
    tab: TABS.find((tab) => tab === params.get("tab")) ?? FIRST_VIEW.tab,
    selection: readSelection(params),
    windowMs: WINDOWS.find(({ ms }) => ms === windowMs)?.ms ?? FIRST_VIEW.windowMs,
    endMs,
  };
}

function readSelection(params: URLSearchParams): Selection {
  const [workload, from, to, flow] = ["workload", "from", "to", "flow"].map((name) => params.get(name));
  if (flow != null && /^[0-9a-f]{8,16}$/.test(flow)) return { at: "flow", id: flow };
  if (from != null && to != null) return { at: "tie", from, to };
  return workload == null ? { at: "mesh" } : { at: "node", id: workload };
}
