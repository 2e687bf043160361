import type { MapNode } from "../api/map-messages.ts";
import { el, setText } from "./dom.ts";
import { plural, rate } from "./format.ts";
import { icon } from "./icons.ts";
import type { Layout, LayoutGroup, Point } from "./layout.ts";
import type { Tie } from "./ties.ts";

/** What a card says of its node. */
export interface CardFacts {
  readonly node: MapNode;
  readonly received: number;
  readonly sent: number;
  readonly denied: number;
  readonly wouldDeny: number;
  readonly failed: number;
}

export function factsOf(nodes: readonly MapNode[], ties: readonly Tie[]): ReadonlyMap<string, CardFacts> {
  const empty = { received: 0, sent: 0, denied: 0, wouldDeny: 0, failed: 0 };
  const sums = new Map(nodes.map(({ id }) => [id, { ...empty }]));
  for (const { from, to, total, flows, failed } of ties) {
    const [source, destination] = [sums.get(from), sums.get(to)];
    if (source !== undefined) source.sent += total;
    if (destination === undefined) continue;
    destination.received += total;
    destination.denied += flows.denied;
    destination.wouldDeny += flows["would-deny"];
    destination.failed += failed + flows.error;
  }
  return new Map(nodes.map((node) => [node.id, { node, ...sums.get(node.id)! }]));
}

/** In words, for whoever hears the map. */
export function describe({ node, received, sent, denied, wouldDeny }: CardFacts, seconds: number): string {
  const where = node.namespace === null ? "outside of the mesh" : `namespace ${node.namespace}`;
  return [
    `${node.name}, ${where}`,
    `receives ${rate(received, seconds)}, sends ${rate(sent, seconds)}`,
    ...(denied > 0 ? [`${plural(denied, "request")} to it denied`] : []),
    ...(wouldDeny > 0 ? [`${plural(wouldDeny, "request")} to it would be denied`] : []),
  ].join("; ");
}

interface Card {
  readonly element: HTMLButtonElement;
  readonly name: HTMLElement;
  readonly rates: HTMLElement;
  readonly mark: HTMLElement;
}

/** The cards of the map: each made once, and changed where it stands. */
export class NodeCards {
  readonly layer = el("div", { class: "cards" });
  readonly #cards = new Map<string, Card>();
  readonly #onSelect: (id: string) => void;

  constructor(onSelect: (id: string) => void) {
    this.#onSelect = onSelect;
  }

  show(facts: ReadonlyMap<string, CardFacts>, layout: Layout, seconds: number): void {
    for (const [id, { element }] of this.#cards)
      if (!facts.has(id)) {
        element.remove();
        this.#cards.delete(id);
      }
    for (const [id, each] of facts) {
      const at = layout.nodes.get(id);
      if (at !== undefined) this.#update(this.#cards.get(id) ?? this.#make(each.node), each, at, seconds);
    }
  }

  get(id: string): HTMLButtonElement | undefined {
    return this.#cards.get(id)?.element;
  }

  ids(): readonly string[] {
    return [...this.#cards.keys()];
  }

  #make(node: MapNode): Card {
    const name = el("span", { class: "card-name" }, node.name);
    const rates = el("span", { class: "card-rates" });
    const mark = el("span", { class: "card-mark" });
    const element = el(
      "button",
      {
        type: "button",
        class: `card card-${node.kind}`,
        tabindex: -1,
        data: { node: node.id },
        on: { click: () => this.#onSelect(node.id) },
      },
      el("span", { class: "card-dot", aria: { hidden: true } }),
      el("span", { class: "card-words" }, name, rates),
      mark,
    );
    this.layer.appendChild(element);
    const card = { element, name, rates, mark };
    this.#cards.set(node.id, card);
    return card;
  }

  // oxlint-disable-next-line max-params -- A card, what it says, where it stands, and what rates are per.
  #update({ element, rates, mark }: Card, facts: CardFacts, at: Point, seconds: number): void {
    const { node, received, sent, denied, wouldDeny, failed } = facts;
    element.style.transform = `translate(${at.x}px, ${at.y}px)`;
    const parts = [received > 0 ? `in ${rate(received, seconds)}` : "", sent > 0 ? `out ${rate(sent, seconds)}` : ""];
    setText(rates, parts.filter((part) => part !== "").join("  ·  ") || "no traffic");
    const state = denied > 0 ? "denied" : wouldDeny > 0 ? "would-deny" : failed > 0 ? "error" : "";
    if (element.dataset["state"] !== state) {
      element.dataset["state"] = state;
      mark.replaceChildren(...(state === "" ? [] : [icon(state)]));
    }
    element.dataset["sidecar"] = node.isConnected === null ? "none" : node.isConnected ? "up" : "down";
    element.classList.toggle("is-idle", received + sent === 0);
    element.setAttribute("aria-label", describe(facts, seconds));
    element.title = node.principal ?? node.name;
  }
}

/** The frames around namespaces. */
export class GroupFrames {
  readonly layer = el("div", { class: "groups", aria: { hidden: true } });
  readonly #frames = new Map<string, HTMLElement>();

  show(groups: readonly LayoutGroup[]): void {
    for (const { key, label, x, y, width, height } of groups) {
      const frame = this.#frames.get(key) ?? this.#make(key, label);
      frame.style.transform = `translate(${x}px, ${y}px)`;
      frame.style.width = `${width}px`;
      frame.style.height = `${height}px`;
    }
  }

  #make(key: string, label: string): HTMLElement {
    const frame = el(
      "div",
      { class: `group${label === key ? "" : " group-outside"}` },
      el("span", { class: "group-name" }, label),
    );
    this.layer.appendChild(frame);
    this.#frames.set(key, frame);
    return frame;
  }
}
