import { el, fill } from "./dom.ts";
import { duration, percent, rate } from "./format.ts";
import { icon } from "./icons.ts";
import { nodeLink, nodeName, type Select, verdictTag } from "./parts.ts";
import type { State } from "./state.ts";
import { lockOf, lockShort, lockWords } from "./tie-chips.ts";
import { type Tie, worstOf } from "./ties.ts";

interface Column {
  readonly title: string;
  readonly isNumber: boolean;
  readonly key: (tie: Tie) => string | number;
  readonly cell: (tie: Tie, seconds: number, select: Select) => readonly (Node | string)[];
}

const COLUMNS: readonly Column[] = [
  {
    title: "From",
    isNumber: false,
    key: ({ from }) => from,
    cell: ({ from }, _seconds, select) => [nodeLink(from, select, "list from")],
  },
  {
    title: "To",
    isNumber: false,
    key: ({ to }) => to,
    cell: ({ to }, _seconds, select) => [nodeLink(to, select, "list to")],
  },
  { title: "Verdict", isNumber: false, key: (tie) => RANK[worstOf(tie)], cell: (tie) => [verdictTag(worstOf(tie))] },
  { title: "Rate", isNumber: true, key: ({ total }) => -total, cell: ({ total }, seconds) => [rate(total, seconds)] },
  { title: "Denied", isNumber: true, key: ({ flows }) => -flows.denied, cell: ({ flows }) => [blank(flows.denied)] },
  {
    title: "Would deny",
    isNumber: true,
    key: ({ flows }) => -flows["would-deny"],
    cell: ({ flows }) => [blank(flows["would-deny"])],
  },
  {
    title: "Failed",
    isNumber: true,
    key: ({ failed, flows }) => -(failed + flows.error),
    cell: ({ failed, flows, total }) => [failed + flows.error === 0 ? "" : percent(failed + flows.error, total)],
  },
  { title: "p50", isNumber: true, key: ({ p50Ms }) => -(p50Ms ?? 0), cell: ({ p50Ms }) => [duration(p50Ms)] },
  { title: "p99", isNumber: true, key: ({ p99Ms }) => -(p99Ms ?? 0), cell: ({ p99Ms }) => [duration(p99Ms)] },
  {
    title: "Between",
    isNumber: false,
    key: lockWords,
    cell: (tie) => [el("span", { class: "with-icon", title: lockWords(tie) }, icon(lockOf(tie)), lockShort(tie))],
  },
];

const RANK = { denied: 0, "would-deny": 1, error: 2, allowed: 3 } as const;
const ROWS_MAX = 1_000;

/** All lines of the map as a table, to be sorted and searched: the same for whoever does not look at pictures. */
export class ListView {
  readonly element = el("section", { class: "page list", aria: { label: "Who talks to whom" } });
  readonly #select: Select;
  readonly #onSort: () => void;
  #sort = { column: 2, isReversed: false };

  constructor(select: Select, onSort: () => void) {
    this.#select = select;
    this.#onSort = onSort;
  }

  show({ ties, graph, search }: State): void {
    const words = search.trim().toLowerCase();
    const wanted = ties.filter(({ from, to }) => words === "" || `${from} ${to}`.toLowerCase().includes(words));
    const { key } = COLUMNS[this.#sort.column]!;
    const sign = this.#sort.isReversed ? -1 : 1;
    const sorted = wanted.toSorted((one, other) => sign * compare(key(one), key(other)) || other.total - one.total);
    fill(
      this.element,
      el("h2", {}, "Who talks to whom"),
      sorted.length === 0
        ? el(
            "p",
            { class: "quiet" },
            words === "" ? "Nobody talked to anybody in this span of time." : `Nothing fits “${search}”.`,
          )
        : el(
            "table",
            { class: "wide wide-list" },
            this.#head(),
            el(
              "tbody",
              {},
              sorted.slice(0, ROWS_MAX).map((tie) => this.#row(tie, graph?.seconds ?? 1)),
            ),
          ),
      sorted.length > ROWS_MAX &&
        el("p", { class: "quiet" }, `and ${sorted.length - ROWS_MAX} more; search for what you need`),
    );
  }

  #head(): HTMLElement {
    const cells = COLUMNS.map(({ title, isNumber }, i) => {
      const isSorted = i === this.#sort.column;
      const sort = (): void => {
        this.#sort = { column: i, isReversed: isSorted && !this.#sort.isReversed };
        this.#onSort();
      };
      const order = this.#sort.isReversed ? "descending" : "ascending";
      return el(
        "th",
        { scope: "col", class: isNumber ? "number" : "", aria: { sort: isSorted ? order : "none" } },
        el("button", { type: "button", class: "sort", data: { key: `sort ${title}` }, on: { click: sort } }, title),
      );
    });
    return el("thead", {}, el("tr", {}, cells, el("th", { scope: "col", aria: { label: "Flows" } })));
  }

  #row(tie: Tie, seconds: number): HTMLElement {
    const open = (): void => this.#select({ at: "tie", from: tie.from, to: tie.to });
    const cells = COLUMNS.map(({ isNumber, cell }) =>
      el(
        "td",
        { class: isNumber ? "number" : "" },
        el("span", { class: "with-icon" }, cell(tie, seconds, this.#select)),
      ),
    );
    const button = el(
      "button",
      {
        type: "button",
        class: "link",
        data: { key: `open ${tie.id}` },
        aria: { label: `Flows from ${nodeName(tie.from)} to ${nodeName(tie.to)}` },
        on: { click: open },
      },
      "flows",
    );
    return el("tr", {}, cells, el("td", {}, button));
  }
}

function compare(one: string | number, other: string | number): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

function blank(count: number): string {
  return count === 0 ? "" : String(count);
}
