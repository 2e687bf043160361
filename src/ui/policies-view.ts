import type { MapCoverage, MapRuleUse } from "../api/map-messages.ts";
import { nowMs } from "./browser.ts";
import { el } from "./dom.ts";
import { ago, moment, plural, short } from "./format.ts";
import { nodeLink, notice, type Select } from "./parts.ts";

/** Which policies allow what goes on, and which of their rules nobody used. */
export function policiesView(coverage: MapCoverage, select: Select): readonly HTMLElement[] {
  const unused = coverage.rules.filter(({ flows, action }) => flows === 0 && action !== "AUDIT");
  return [
    el("h2", {}, "Policies and their use"),
    el("p", { class: "quiet" }, lookedAt(coverage)),
    el(
      "section",
      {},
      el("h3", {}, "Rules that decided nothing"),
      unused.length === 0
        ? notice("good", "Every rule in force was used in this span of time.")
        : [
            el(
              "p",
              {},
              "Each is either not needed, or needed seldom. Look at a longer span of time before you take one out.",
            ),
            rules(unused, false),
          ],
    ),
    el(
      "section",
      {},
      el("h3", {}, "Rules in use"),
      rules(
        coverage.rules.filter(({ flows }) => flows > 0),
        true,
      ),
    ),
    el("section", {}, el("h3", {}, "What lets each of them through"), edges(coverage, select)),
  ];
}

function lookedAt({ flows, fromMs, toMs, isWhole }: MapCoverage): string {
  const now = nowMs();
  const span = `${moment(fromMs, now)} to ${moment(Math.min(toMs, now), now)}`;
  return isWhole
    ? `All ${plural(flows, "flow record")} from ${span}.`
    : `The newest ${plural(flows, "flow record")}: from ${span}.`;
}

function rules(some: readonly MapRuleUse[], isUsed: boolean): HTMLElement {
  if (some.length === 0) return el("p", { class: "quiet" }, "None.");
  const titles = ["Policy", "Rule", "Action", "Where", ...(isUsed ? ["Decided", "Last"] : [])];
  return el(
    "table",
    { class: "wide" },
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        titles.map((title) => el("th", { scope: "col" }, title)),
      ),
    ),
    el(
      "tbody",
      {},
      some
        .toSorted((one, other) => other.flows - one.flows || (one.policy < other.policy ? -1 : 1))
        .map(({ policy, rule, action, file, line, flows, lastMs }) =>
          el(
            "tr",
            {},
            el("td", {}, policy),
            el("td", {}, String(rule)),
            el("td", {}, action),
            el("td", {}, el("code", {}, line === null ? file : `${file}:${line}`)),
            isUsed && [el("td", {}, plural(flows, "flow")), el("td", {}, lastMs === null ? "" : ago(nowMs() - lastMs))],
          ),
        ),
    ),
  );
}

function edges({ edges: all }: MapCoverage, select: Select): HTMLElement {
  if (all.length === 0) return el("p", { class: "quiet" }, "Nothing was allowed in this span of time.");
  return el(
    "table",
    { class: "wide" },
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        ["From", "To", "Port", "Allowed by"].map((title) => el("th", { scope: "col" }, title)),
      ),
    ),
    el(
      "tbody",
      {},
      all.map(({ from, to, port, protocol, by }) =>
        el(
          "tr",
          {},
          el("td", {}, nodeLink(from, select, "coverage")),
          el("td", {}, nodeLink(to, select, "coverage")),
          el("td", {}, `${port} ${protocol}`),
          el(
            "td",
            {},
            by.map(({ policy, rule, flows }) =>
              el(
                "span",
                { class: policy === null || policy === "mesh/default" ? "by by-default" : "by" },
                policy === null ? "no policy asked" : `${policy}${rule === null ? "" : ` rule ${rule}`}`,
                el("span", { class: "quiet" }, ` ${short(flows)}×`),
              ),
            ),
          ),
        ),
      ),
    ),
  );
}
