import { fitTo, reveal, zoomAt } from "./camera.ts";
import { type Colours, readColours } from "./colours.ts";
import { el } from "./dom.ts";
import { type Camera, EdgeCanvas, type Stroke, strokesOf } from "./edge-canvas.ts";
import { type Curve, curveBetween, distanceTo, isOver } from "./geometry.ts";
import { icon } from "./icons.ts";
import { type Layout, NODE, type Point } from "./layout.ts";
import { MapKeys } from "./map-keys.ts";
import { factsOf, GroupFrames, NodeCards } from "./node-cards.ts";
import { onGestures } from "./gestures.ts";
import type { Selection, State } from "./state.ts";
import { TieChips } from "./tie-chips.ts";
import type { Tie } from "./ties.ts";

/** Around so many lines it is worth the time to lead each around the cards in its way. */
const DETOURED_TIES_MAX = 260;
/** Below the first size a card has room for its name alone, in larger letters; below the second not for that. */
const FAR_SCALE = { names: 0.62, shapes: 0.34 } as const;

const READABLE_SCALE = 0.8;

/** The graph: lines on a canvas, and cards and chips, which are buttons, over it. */
export class GraphView {
  readonly element: HTMLElement;
  readonly cards: NodeCards;
  readonly chips: TieChips;
  readonly #frames = new GroupFrames();
  readonly #canvas = new EdgeCanvas();
  readonly #world: HTMLElement;
  readonly #stage: HTMLElement;
  readonly #empty = el("div", { class: "empty", hidden: true });
  readonly #select: (selection: Selection) => void;
  readonly #keys: MapKeys;
  #camera: Camera = { x: 0, y: 0, scale: 1 };
  #size = { width: 0, height: 0 };
  #isFitted = false;
  #layout: Layout | null = null;
  #ties: readonly Tie[] = [];
  #curves: ReadonlyMap<string, Curve> = new Map();
  #strokes: readonly Stroke[] = [];
  #lit: ReadonlySet<string> | null = null;
  #blast: readonly Curve[] = [];
  #hovered: string | null = null;
  #colours: Colours | null = null;
  #isDrawing = false;

  constructor(select: (selection: Selection) => void) {
    this.#select = select;
    this.cards = new NodeCards((id) => select({ at: "node", id }));
    this.chips = new TieChips(({ from, to }) => select({ at: "tie", from, to }));
    this.#world = el("div", { class: "world" }, this.#frames.layer, this.cards.layer, this.chips.layer);
    this.#stage = el("div", { class: "stage" }, this.#canvas.element, this.#world);
    this.#keys = new MapKeys(this);
    this.element = el(
      "section",
      {
        class: "graph",
        aria: { label: "Service map. Arrow keys go from service to service, Enter opens one, E goes to its lines." },
      },
      this.#stage,
      this.#empty,
      this.#tools(),
      legend(),
    );
    onGestures(this.#stage, {
      onDrag: (dx, dy) => this.#look({ ...this.#camera, x: this.#camera.x + dx, y: this.#camera.y + dy }),
      onZoom: (at, factor) => this.#look(zoomAt(this.#camera, at, factor)),
      onHover: (at) => this.#hover(at),
      onTap: (at) => this.#tap(at),
    });
    new ResizeObserver(() => this.#resize()).observe(this.#stage);
  }

  show(state: State): void {
    const { graph, layout, ties } = state;
    if (graph === null) return;
    const facts = factsOf(graph.nodes, ties);
    const isMoved = layout !== this.#layout;
    if (isMoved) this.#frames.show(layout.groups);
    this.cards.show(facts, layout, graph.seconds);
    if (isMoved || ties !== this.#ties) this.#trace(layout, ties, graph.seconds);
    this.#layout = layout;
    this.#ties = ties;
    this.#light(state);
    this.chips.show(ties, this.#curves, { layout, lit: this.#lit, seconds: graph.seconds });
    this.#lightChips(state);
    this.#sayEmpty(graph.nodes.length === 0);
    this.#keys.refresh();
    if (!this.#isFitted && graph.nodes.length > 0) this.fit();
    this.redraw();
  }

  /** All of it in the window. */
  fit(): void {
    if (this.#layout === null || this.#size.width === 0) return;
    this.#isFitted = true;
    this.#look(fitTo(this.#layout.bounds, this.#size.width, this.#size.height));
  }

  zoom(factor: number): void {
    this.#look(zoomAt(this.#camera, { x: this.#size.width / 2, y: this.#size.height / 2 }, factor));
  }

  /** So that a node can be seen. */
  reveal(id: string): void {
    const at = this.#layout?.nodes.get(id);
    if (at === undefined) return;
    // Who goes there by keyboard wants to read it.
    const isFar = this.#camera.scale < FAR_SCALE.names;
    const near = isFar ? zoomAt(this.#camera, { x: 0, y: 0 }, READABLE_SCALE / this.#camera.scale) : this.#camera;
    this.#look(reveal(near, { ...at, ...NODE }, this.#size.width, this.#size.height));
  }

  placeOf(id: string): Point | null {
    return this.#layout?.nodes.get(id) ?? null;
  }

  tiesOf(id: string): readonly Tie[] {
    return this.#ties.filter(({ from, to }) => from === id || to === id);
  }

  clear(): void {
    this.#select({ at: "mesh" });
  }

  /** The style sheet may be another now. */
  recolour(): void {
    this.#colours = null;
    this.redraw();
  }

  redraw(): void {
    if (this.#isDrawing) return;
    this.#isDrawing = true;
    requestAnimationFrame(() => {
      this.#isDrawing = false;
      this.#colours ??= readColours(this.element);
      const scene = { strokes: this.#strokes, colours: this.#colours, lit: this.#lit, hovered: this.#hovered };
      this.#canvas.draw({ ...scene, blast: this.#blast }, this.#camera);
    });
  }

  #trace(layout: Layout, ties: readonly Tie[], seconds: number): void {
    const isDetoured = ties.length <= DETOURED_TIES_MAX;
    const curves = new Map<string, Curve>();
    for (const { id, from, to } of ties) {
      const [a, b] = [layout.nodes.get(from), layout.nodes.get(to)];
      if (a === undefined || b === undefined) continue;
      const others = isDetoured
        ? [...layout.nodes].flatMap(([node, at]) => (node === from || node === to ? [] : [at]))
        : [];
      curves.set(id, curveBetween(a, b, others));
    }
    this.#curves = curves;
    this.#strokes = ties
      .flatMap(({ id, flows, total, failed }) => {
        const curve = curves.get(id);
        const look = { perSecond: total / seconds, isFailing: failed > 0 };
        return curve === undefined ? [] : strokesOf(id, curve, flows, look);
      })
      // What was denied lies on top.
      .toSorted((one, other) => RANK[one.verdict] - RANK[other.verdict]);
  }

  /** What the selection is about stands out. */
  #light({ selection, search, blast, ties, graph }: State): void {
    const near = new Set<string>();
    this.#lit = null;
    this.#blast = blast === null ? [] : this.#waysOf(blast.reached, near);
    if (blast !== null) {
      near.add(blast.workload);
      this.#lit = new Set();
    } else if (selection.at !== "mesh") {
      const mine = ties.filter((tie) => isOf(tie, selection));
      this.#lit = new Set(mine.map(({ id }) => id));
      for (const { from, to } of mine) near.add(from).add(to);
      if (selection.at === "node") near.add(selection.id);
    }
    const words = search.trim().toLowerCase();
    const hops = new Map(blast?.reached.map((each) => [each.to, each.hops]));
    for (const { id } of graph?.nodes ?? []) {
      const card = this.cards.get(id);
      if (card === undefined) continue;
      const isFound = words === "" || id.toLowerCase().includes(words);
      card.classList.toggle("is-dim", (this.#lit !== null && !near.has(id)) || !isFound);
      card.classList.toggle("is-found", words !== "" && isFound);
      card.setAttribute("aria-pressed", String(selection.at === "node" && selection.id === id));
      const hop = hops.get(id);
      if (hop === undefined) delete card.dataset["hops"];
      else card.dataset["hops"] = String(hop);
      card.classList.toggle("is-breached", blast?.workload === id);
    }
    this.element.classList.toggle("has-blast", blast !== null);
  }

  /** After they have been shown: that gives them their classes anew. */
  #lightChips({ selection }: State): void {
    const [chosen = null] = selection.at === "node" || this.#lit === null ? [] : this.#lit;
    for (const chip of this.chips.elements()) {
      chip.classList.toggle("is-dim", this.#lit !== null && !this.#lit.has(chip.dataset["tie"]!));
      chip.setAttribute("aria-pressed", String(chip.dataset["tie"] === chosen));
    }
  }

  #waysOf(reached: readonly { readonly to: string; readonly via: string }[], near: Set<string>): readonly Curve[] {
    return reached.flatMap(({ to, via }) => {
      near.add(to);
      const [a, b] = [this.#layout?.nodes.get(via), this.#layout?.nodes.get(to)];
      return a === undefined || b === undefined ? [] : [curveBetween(a, b, [])];
    });
  }

  #look(camera: Camera): void {
    this.#camera = camera;
    this.#world.style.transform = `translate(${camera.x}px, ${camera.y}px) scale(${camera.scale})`;
    // Names of groups are read from far away, too.
    this.#world.style.setProperty("--name-size", `${Math.max(12, Math.min(64, 11 / camera.scale))}px`);
    this.element.classList.toggle("is-near-far", camera.scale < FAR_SCALE.names && camera.scale >= FAR_SCALE.shapes);
    this.element.classList.toggle("is-far", camera.scale < FAR_SCALE.shapes);
    this.redraw();
  }

  #resize(): void {
    const { clientWidth, clientHeight } = this.#stage;
    const isFirst = this.#size.width === 0;
    this.#size = { width: clientWidth, height: clientHeight };
    this.#canvas.resize(clientWidth, clientHeight);
    if (isFirst || !this.#isFitted) this.fit();
    this.redraw();
  }

  #toWorld({ x, y }: Point): Point {
    return { x: (x - this.#camera.x) / this.#camera.scale, y: (y - this.#camera.y) / this.#camera.scale };
  }

  #strokeAt(at: Point): Stroke | null {
    const point = this.#toWorld(at);
    const reach = 7 / this.#camera.scale;
    const near = { x: point.x - reach, y: point.y - reach, width: 2 * reach, height: 2 * reach };
    let found: Stroke | null = null;
    let nearest = reach;
    for (const stroke of this.#strokes) {
      if (!isOver(stroke.box, near)) continue;
      const distance = distanceTo(stroke.curve, point);
      if (distance <= nearest) [found, nearest] = [stroke, distance];
    }
    return found;
  }

  #hover(at: Point | null): void {
    const tie = at === null ? null : (this.#strokeAt(at)?.tie ?? null);
    if (tie === this.#hovered) return;
    this.#hovered = tie;
    this.#stage.classList.toggle("is-over-line", tie !== null);
    this.redraw();
  }

  #tap(at: Point): void {
    const stroke = this.#strokeAt(at);
    const tie = this.#ties.find(({ id }) => id === stroke?.tie);
    this.#select(tie === undefined ? { at: "mesh" } : { at: "tie", from: tie.from, to: tie.to });
  }

  #sayEmpty(isEmpty: boolean): void {
    if (this.#empty.hidden === !isEmpty) return;
    this.#empty.hidden = !isEmpty;
    this.#empty.replaceChildren(
      el("h2", {}, "Nobody has joined the mesh yet"),
      el("p", {}, "A service shows up here as soon as its sidecar is registered. Bring one in from another terminal:"),
      el("pre", { class: "command" }, "npx cardea run --service shopfront -- npm start"),
    );
  }

  #tools(): HTMLElement {
    return el(
      "div",
      { class: "tools", role: "group", aria: { label: "Zoom" } },
      toolButton("plus", "Zoom in (+)", () => this.zoom(1.3)),
      toolButton("minus", "Zoom out (−)", () => this.zoom(1 / 1.3)),
      toolButton("fit", "Show all (0)", () => this.fit()),
    );
  }
}

const RANK = { allowed: 0, error: 1, "would-deny": 2, denied: 3 } as const;

function isOf({ from, to }: Tie, selection: Selection): boolean {
  if (selection.at === "node") return from === selection.id || to === selection.id;
  return selection.at !== "mesh" && from === selection.from && to === selection.to;
}

function toolButton(name: "plus" | "minus" | "fit", label: string, call: () => void): HTMLElement {
  return el(
    "button",
    { type: "button", class: "tool", title: label, aria: { label }, on: { click: call } },
    icon(name),
  );
}

function legendLine(verdict: string, words: string): HTMLElement {
  return el("li", {}, el("span", { class: `sample sample-${verdict}`, aria: { hidden: true } }), words);
}

function legend(): HTMLElement {
  return el(
    "ul",
    { class: "legend", aria: { label: "What the lines mean" } },
    legendLine("allowed", "allowed"),
    legendLine("denied", "denied"),
    legendLine("would-deny", "would be denied"),
    legendLine("error", "failed"),
    el("li", {}, icon("lock-pq"), "mutual TLS, post-quantum"),
    el("li", {}, icon("unlocked"), "no TLS"),
  );
}
