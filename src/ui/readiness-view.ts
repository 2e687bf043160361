import type { MapBreak, MapReadiness } from "../api/map-messages.ts";
import { nowMs } from "./browser.ts";
import { el } from "./dom.ts";
import { moment, plural } from "./format.ts";
import { nodeLink, nodeName, notice, type Select } from "./parts.ts";

/** Who would break under STRICT mutual TLS, and under a default of DENY. */
export function readinessView(readiness: MapReadiness, select: Select): readonly HTMLElement[] {
  const { fromMs, toMs, strict, deny } = readiness;
  const now = nowMs();
  return [
    el("h2", {}, "Ready for the strict settings?"),
    el(
      "p",
      { class: "quiet" },
      `By what went on from ${moment(fromMs, now)} to ${moment(Math.min(toMs, now), now)}. Who was silent then is not in it: look at a span with your rarest job in it.`,
    ),
    el(
      "section",
      {},
      el("h3", {}, "STRICT mutual TLS everywhere"),
      verdict(strict.breaks, "STRICT", "Nobody came without TLS who was let in."),
      breaks(strict.breaks, select),
      strict.lenient.length > 0 && [
        el("p", {}, "These take plaintext today, by PeerAuthentication:"),
        el(
          "ul",
          { class: "plain" },
          strict.lenient.map(({ workload, mode }) => el("li", {}, nodeLink(workload, select, "lenient"), ` ${mode}`)),
        ),
      ],
      strict.lenient.length === 0 &&
        strict.breaks.length === 0 &&
        el("p", { class: "quiet" }, "STRICT is what holds today for every workload."),
    ),
    el(
      "section",
      {},
      el("h3", {}, "Deny whatever no policy allows"),
      verdict(deny.breaks, "default deny", "All that went on is allowed by a policy."),
      breaks(deny.breaks, select),
      deny.unknown.length > 0 &&
        notice("warn", `Not known, for there is too much to tell apart: ${deny.unknown.join(", ")}.`),
      el("p", { class: "quiet" }, stateWords(deny)),
    ),
  ];
}

function verdict(found: readonly MapBreak[], name: string, good: string): HTMLElement {
  if (found.length === 0) return notice("good", el("strong", {}, `Ready for ${name}. `), good);
  const clients = new Set(found.map(({ from }) => from)).size;
  return notice("warn", el("strong", {}, `${plural(clients, "client")} would break under ${name}.`));
}

function breaks(found: readonly MapBreak[], select: Select): HTMLElement | null {
  if (found.length === 0) return null;
  return el(
    "table",
    { class: "wide" },
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        ["Client", "Calls", "Port", "Requests", "Why", ""].map((title) => el("th", { scope: "col" }, title)),
      ),
    ),
    el(
      "tbody",
      {},
      found.map(({ from, to, port, protocol, flows, why }) =>
        el(
          "tr",
          {},
          el("td", {}, nodeLink(from, select, "breaks")),
          el("td", {}, nodeLink(to, select, "breaks")),
          el("td", {}, `${port} ${protocol}`),
          el("td", {}, String(flows)),
          el("td", {}, why),
          el(
            "td",
            {},
            el(
              "button",
              {
                type: "button",
                class: "link",
                aria: { label: `Flows from ${nodeName(from)} to ${nodeName(to)}` },
                on: { click: () => select({ at: "tie", from, to }) },
              },
              "flows",
            ),
          ),
        ),
      ),
    ),
  );
}

function stateWords({ isDefault, isEnforced }: MapReadiness["deny"]): string {
  if (isDefault && isEnforced) return "Today: what no policy allows is denied, and that is enforced.";
  if (isDefault) return "Today: what no policy allows would be denied, but enforcement is AUDIT.";
  return "Today: where no ALLOW policy selects a workload, everything is allowed (defaultAction: ALLOW).";
}
