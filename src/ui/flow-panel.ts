import type { MapExplanation, MapFlow, MapRule } from "../api/map-messages.ts";
import { nowMs } from "./browser.ts";
import { el } from "./dom.ts";
import { ago, bytes, duration, moment, tlsName } from "./format.ts";
import { icon } from "./icons.ts";
import {
  copyBlock,
  facts,
  heading,
  nodeLink,
  nodeName,
  requestWords,
  ruleExcerpt,
  type Select,
  verdictTag,
} from "./parts.ts";

const TITLES = { allowed: "Allowed", denied: "Denied", "would-deny": "Would be denied", error: "Failed" } as const;

/** Why a flow came out as it did: what decided, what came nearest, and what would allow exactly this. */
export function flowPanel(explanation: MapExplanation, select: Select): HTMLElement {
  const { flow, summary, notes, advice, decided, nearest, grant } = explanation;
  return el(
    "article",
    { class: "story", aria: { label: "Explanation" } },
    el(
      "button",
      {
        type: "button",
        class: "button back",
        data: { key: "back" },
        on: { click: () => select({ at: "tie", from: flow.from, to: flow.to }) },
      },
      icon("back"),
      `${nodeName(flow.from)} → ${nodeName(flow.to)}`,
    ),
    el(
      "h2",
      { class: "story-title" },
      verdictTag(flow.verdict),
      el("span", { class: "story-request" }, requestWords(flow)),
    ),
    el("p", { class: "quiet" }, `${moment(flow.timeMs, nowMs(), "millis")}, ${ago(nowMs() - flow.timeMs)}`),
    heading(`${TITLES[flow.verdict]}: why`),
    el("p", { class: "summary" }, summary),
    notes.map((note) => el("p", {}, note)),
    decided !== null && ruleExcerpt(decided),
    nearest !== null && nearestRule(nearest),
    advice !== null && el("p", { class: "advice" }, advice),
    grant !== null && grantBlock(grant),
    heading("What was seen"),
    seen(flow, select),
  );
}

function nearestRule(nearest: MapRule): HTMLElement {
  return el(
    "section",
    { aria: { label: "Nearest rule" } },
    heading("The rule that came nearest"),
    ruleExcerpt(nearest),
    nearest.clauses.map(({ field, expected, actual }) =>
      el(
        "dl",
        { class: "clause" },
        el("dt", {}, "what did not fit"),
        el("dd", {}, el("code", {}, fieldName(field))),
        el("dt", {}, "expected"),
        el("dd", {}, el("code", {}, expected)),
        el("dt", {}, "was"),
        el("dd", {}, el("code", { class: "was" }, actual)),
      ),
    ),
  );
}

/** `spec.rules[0].to[0].operation.paths` by its last words: the excerpt shows where. */
function fieldName(field: string): string {
  return field.replace(/^spec\.rules\[\d+\]\./, "");
}

function grantBlock({ name, namespace, yaml }: NonNullable<MapExplanation["grant"]>): HTMLElement {
  return el(
    "section",
    { class: "grant", aria: { label: "Suggested policy" } },
    heading("A policy that allows exactly this"),
    el(
      "p",
      {},
      "Read it first. If it ought to be allowed, put it among the policies in git, for instance as ",
      el("code", {}, `${namespace === "" ? "" : `${namespace}-`}${name}.yaml`),
      "; nothing is applied from here.",
    ),
    copyBlock(yaml, "Copy YAML"),
  );
}

function seen(flow: MapFlow, select: Select): HTMLElement {
  const { source, destination } = flow;
  return facts([
    ["caller", nodeLink(flow.from, select, "flow")],
    ["identity", source.principal === null ? "none was shown" : el("code", {}, source.principal)],
    ["address", source.address],
    ["called", nodeLink(flow.to, select, "flow")],
    ["port", `${destination.port}, ${flow.protocol}`],
    ["host", flow.host],
    ["path", flow.path],
    ["as received", flow.receivedPath],
    ["answer", flow.status === null ? "" : String(flow.status)],
    ["gRPC status", flow.grpcStatus === null ? "" : String(flow.grpcStatus)],
    ["took", duration(flow.durationMs)],
    ["moved", `${bytes(flow.bytesReceived)} in, ${bytes(flow.bytesSent)} out`],
    ["between", `${tlsName(flow.tls)}${flow.group === null ? "" : `, ${flow.group}`}`],
    ["policies", flow.revision === null ? "" : `revision ${flow.revision}`],
    [
      "decided by",
      flow.policy === null ? flow.reason : `${flow.policy}${flow.rule === null ? "" : `, rule ${flow.rule}`}`,
    ],
    ["seen by", `the ${flow.reporter}'s sidecar`],
    ["trace", flow.traceId === null ? "" : el("code", {}, flow.traceId)],
    ["flow", el("code", {}, flow.id)],
  ]);
}
