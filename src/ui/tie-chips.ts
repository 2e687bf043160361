import { el } from "./dom.ts";
import { duration, plural, rate, short } from "./format.ts";
import { type Curve, labelPlace } from "./geometry.ts";
import { icon, type IconName } from "./icons.ts";
import { type Box, type LayoutGroup, NODE, type Point } from "./layout.ts";
import { type Tie, worstOf } from "./ties.ts";

const CHIP = { height: 22 } as const;
/** The strip along a group's upper edge where its name stands. */
const GROUP_NAME = { above: 14, height: 40 } as const;
/** With more lines than these, the quiet ones have no chip until they are looked at. */
const QUIET_MAX = 90;

/** A chip on a line: the way to it by keyboard as well as by pointer, and what it says at a glance. */
export class TieChips {
  readonly layer = el("div", { class: "chips" });
  readonly #chips = new Map<string, { readonly element: HTMLButtonElement; text: string }>();
  readonly #onSelect: (tie: Tie) => void;

  constructor(onSelect: (tie: Tie) => void) {
    this.#onSelect = onSelect;
  }

  /** In the order of how much they matter: who comes first has the better place. */
  show(ties: readonly Tie[], curves: ReadonlyMap<string, Curve>, { layout, lit, seconds }: ChipScene): readonly Tie[] {
    const isFew = ties.length <= QUIET_MAX;
    const wanted = ties
      .filter((tie) => isFew || worstOf(tie) !== "allowed" || lit?.has(tie.id) === true)
      .toSorted((one, other) => weightOf(other) - weightOf(one) || (one.id < other.id ? -1 : 1));
    const taken: Box[] = [
      ...[...layout.nodes.values()].map(({ x, y }) => ({ x, y, ...NODE })),
      ...layout.groups.map(({ x, y, width }) => ({
        x,
        y: y - GROUP_NAME.above,
        width,
        height: GROUP_NAME.height,
      })),
    ];
    const shown: Tie[] = [];
    for (const tie of wanted) {
      const curve = curves.get(tie.id);
      if (curve === undefined) continue;
      const text = textOf(tie, seconds);
      const size = { width: 30 + text.length * 6.6, height: CHIP.height };
      const at = labelPlace(curve, { width: size.width + 4, height: size.height + 4 }, taken);
      if (at === null && worstOf(tie) === "allowed" && lit?.has(tie.id) !== true) continue;
      const place = at ?? curve.c1;
      taken.push({ x: place.x - size.width / 2, y: place.y - size.height / 2, ...size });
      this.#place(tie, text, place, seconds);
      shown.push(tie);
    }
    const ids = new Set(shown.map(({ id }) => id));
    for (const [id, { element }] of this.#chips)
      if (!ids.has(id)) {
        element.remove();
        this.#chips.delete(id);
      }
    return shown;
  }

  get(id: string): HTMLButtonElement | undefined {
    return this.#chips.get(id)?.element;
  }

  elements(): readonly HTMLButtonElement[] {
    return [...this.#chips.values()].map(({ element }) => element);
  }

  // oxlint-disable-next-line max-params -- A line, what its chip says, where it is, and what rates are per.
  #place(tie: Tie, text: string, { x, y }: Point, seconds: number): void {
    let chip = this.#chips.get(tie.id);
    if (chip === undefined) {
      const element = el("button", {
        type: "button",
        tabindex: -1,
        data: { tie: tie.id },
        on: { click: () => this.#onSelect(tie) },
      });
      this.layer.appendChild(element);
      chip = { element, text: "" };
      this.#chips.set(tie.id, chip);
    }
    const { element } = chip;
    const worst = worstOf(tie);
    element.className = `chip chip-${worst}`;
    element.style.transform = `translate(${x}px, ${y}px) translate(-50%, -50%)`;
    element.setAttribute("aria-label", describeTie(tie, seconds));
    const key = `${iconOf(tie)} ${text}`;
    if (chip.text === key) return;
    chip.text = key;
    element.replaceChildren(icon(iconOf(tie)), document.createTextNode(text));
  }
}

export interface ChipScene {
  readonly layout: { readonly nodes: ReadonlyMap<string, Point>; readonly groups: readonly LayoutGroup[] };
  readonly lit: ReadonlySet<string> | null;
  readonly seconds: number;
}

function weightOf(tie: Tie): number {
  const rank = { denied: 3e12, "would-deny": 2e12, error: 1e12, allowed: 0 }[worstOf(tie)];
  return rank + tie.total;
}

function textOf({ flows, total, ...tie }: Tie, seconds: number): string {
  const worst = worstOf({ flows });
  return worst === "allowed"
    ? rate(total, seconds)
    : `${short(flows[worst])} ${worst === "would-deny" ? "would" : worst}${tie.tls === "none" && worst !== "denied" ? " · plain" : ""}`;
}

function iconOf(tie: Tie): IconName {
  const worst = worstOf(tie);
  return worst === "allowed" ? lockOf(tie) : worst;
}

export function lockOf({ tls, isPostQuantum }: Pick<Tie, "tls" | "isPostQuantum">): IconName {
  if (tls !== "mutual") return "unlocked";
  return isPostQuantum ? "lock-pq" : "lock";
}

export function lockWords({ tls, isPostQuantum }: Pick<Tie, "tls" | "isPostQuantum">): string {
  if (tls === "none") return "no TLS";
  if (tls === "mixed") return "partly without TLS";
  return isPostQuantum ? "mutual TLS, post-quantum key exchange" : "mutual TLS";
}

/** The same for a narrow column. */
export function lockShort({ tls, isPostQuantum }: Pick<Tie, "tls" | "isPostQuantum">): string {
  if (tls !== "mutual") return tls === "none" ? "no TLS" : "partly TLS";
  return isPostQuantum ? "mTLS, PQ" : "mTLS";
}

export function describeTie(tie: Tie, seconds: number): string {
  const { from, to, flows, failed, total, p99Ms } = tie;
  return [
    `${from.replace(/^\//, "")} to ${to.replace(/^\//, "")}`,
    rate(total, seconds),
    ...(flows.denied > 0 ? [`${plural(flows.denied, "request")} denied`] : []),
    ...(flows["would-deny"] > 0 ? [`${plural(flows["would-deny"], "request")} would be denied`] : []),
    ...(flows.error + failed > 0 ? [plural(flows.error + failed, "error")] : []),
    `99 % within ${duration(p99Ms)}`,
    lockWords(tie),
  ].join(", ");
}
