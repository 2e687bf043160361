import type { Point } from "./layout.ts";
import type { NodeCards } from "./node-cards.ts";
import type { TieChips } from "./tie-chips.ts";
import type { Tie } from "./ties.ts";

/** What keys move about in. */
interface KeyedMap {
  readonly element?: HTMLElement;
  readonly cards: NodeCards;
  readonly chips: TieChips;
  placeOf(id: string): Point | null;
  tiesOf(id: string): readonly Tie[];
  reveal(id: string): void;
  zoom(factor: number): void;
  fit(): void;
  clear(): void;
}

const ARROWS: Readonly<Record<string, Point>> = {
  ArrowLeft: { x: -1, y: 0 },
  ArrowRight: { x: 1, y: 0 },
  ArrowUp: { x: 0, y: -1 },
  ArrowDown: { x: 0, y: 1 },
};

/**
 * The map by keyboard. All cards together are one stop of the Tab key, and all chips another: arrows go on from there, to
 * the nearest in their direction, or to the next chip.
 */
export class MapKeys {
  readonly #map: KeyedMap;
  #node: string | null = null;
  #tie: string | null = null;

  constructor(map: KeyedMap) {
    this.#map = map;
    map.cards.layer.addEventListener("keydown", (event) => this.#onCard(event));
    map.chips.layer.addEventListener("keydown", (event) => this.#onChip(event));
    map.cards.layer.addEventListener("focusin", (event) => this.#focused(event));
    map.chips.layer.addEventListener("focusin", (event) => this.#focused(event));
  }

  /** Exactly one card and one chip can be reached by Tab. */
  refresh(): void {
    const { cards, chips } = this.#map;
    const ids = cards.ids();
    if (this.#node === null || !ids.includes(this.#node)) this.#node = this.#first(ids);
    for (const id of ids) setStop(cards.get(id), id === this.#node);
    const all = chips.elements();
    if (!all.some((chip) => chip.dataset["tie"] === this.#tie)) this.#tie = all[0]?.dataset["tie"] ?? null;
    for (const chip of all) setStop(chip, chip.dataset["tie"] === this.#tie);
  }

  #first(ids: readonly string[]): string | null {
    const placed = ids.flatMap((id) => {
      const at = this.#map.placeOf(id);
      return at === null ? [] : [{ id, key: at.x + at.y / 10_000 }];
    });
    return placed.toSorted((one, other) => one.key - other.key)[0]?.id ?? null;
  }

  #focused({ target }: FocusEvent): void {
    const { node, tie } = (target as HTMLElement).dataset;
    if (node !== undefined) {
      this.#node = node;
      if ((target as HTMLElement).matches(":focus-visible")) this.#map.reveal(node);
    }
    if (tie !== undefined) this.#tie = tie;
    this.refresh();
  }

  #onCard(event: KeyboardEvent): void {
    const arrow = ARROWS[event.key];
    if (arrow !== undefined) this.#go(this.#nearest(arrow), event);
    else if (event.key === "Home") this.#go(this.#first(this.#map.cards.ids()), event);
    else if (event.key === "e" || event.key === "E") this.#toLines(event);
    else this.#anywhere(event);
  }

  #onChip(event: KeyboardEvent): void {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step === undefined) {
      this.#anywhere(event);
      return;
    }
    event.preventDefault();
    const chips = this.#map.chips.elements();
    const at = chips.findIndex((chip) => chip.dataset["tie"] === this.#tie);
    chips[(at + step + chips.length) % chips.length]?.focus();
  }

  #anywhere(event: KeyboardEvent): void {
    const { key } = event;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (key === "+" || key === "=") this.#map.zoom(1.25);
    else if (key === "-") this.#map.zoom(1 / 1.25);
    else if (key === "0") this.#map.fit();
    else if (key === "Escape") this.#map.clear();
    else return;
    event.preventDefault();
  }

  #go(id: string | null, event: KeyboardEvent): void {
    event.preventDefault();
    if (id !== null) this.#map.cards.get(id)?.focus({ preventScroll: true });
  }

  #toLines(event: KeyboardEvent): void {
    event.preventDefault();
    const mine = this.#node === null ? [] : this.#map.tiesOf(this.#node);
    const chip = mine.map(({ id }) => this.#map.chips.get(id)).find((each) => each !== undefined);
    chip?.focus({ preventScroll: true });
  }

  /** What lies ahead counts by its distance, and what lies aside of the way by three times as much. */
  #nearest({ x, y }: Point): string | null {
    const from = this.#node === null ? null : this.#map.placeOf(this.#node);
    if (from === null) return this.#first(this.#map.cards.ids());
    let best: string | null = null;
    let least = Number.POSITIVE_INFINITY;
    for (const id of this.#map.cards.ids()) {
      const at = this.#map.placeOf(id);
      if (at === null || id === this.#node) continue;
      const ahead = (at.x - from.x) * x + (at.y - from.y) * y;
      const aside = Math.abs((at.x - from.x) * y) + Math.abs((at.y - from.y) * x);
      if (ahead > 0 && ahead + 3 * aside < least) [best, least] = [id, ahead + 3 * aside];
    }
    return best;
  }
}

function setStop(element: HTMLElement | undefined, isStop: boolean): void {
  if (element !== undefined) element.tabIndex = isStop ? 0 : -1;
}
