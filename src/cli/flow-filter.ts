import type { FlowFilter } from "../control/flows/query.ts";
import { closestWord } from "../core/closest-word.ts";
import { CardeaError } from "../core/errors.ts";
import { FLOW_PROTOCOLS, VERDICTS, type Verdict } from "../observe/flow.ts";
import type { Flag, ParsedArgs } from "./command.ts";

/** The flags by which flows are asked for. */
export const FLOW_FILTER_FLAGS: readonly Flag[] = [
  { name: "verdict", value: "VERDICT", repeat: true, summary: "allowed, denied, would-deny or error" },
  { name: "service", value: "NAME", repeat: true, summary: "to or from: payments, payments.shop or a SPIFFE ID" },
  { name: "from", value: "NAME", repeat: true, summary: "the caller, by the same names" },
  { name: "to", value: "NAME", repeat: true, summary: "the called one, by the same names" },
  { name: "namespace", short: "n", value: "NAME", repeat: true, summary: "either side is in it" },
  { name: "protocol", value: "PROTOCOL", summary: "http or tcp" },
  { name: "method", value: "METHOD", summary: "the request's method" },
  { name: "path", value: "PREFIX", summary: "the beginning of the path" },
  { name: "status", value: "STATUS", summary: "404, 5xx or 400-499" },
  { name: "trace", value: "ID", summary: "a trace's 32 hex digits" },
  { name: "dry-run", value: "VERDICT", summary: "what policies in a dry run would decide: allowed, denied or any" },
  { name: "audited", value: null, summary: "only what an AUDIT policy marked" },
];

/** And those about when they were. */
export const FLOW_TIME_FLAGS: readonly Flag[] = [
  { name: "since", value: "TIME", summary: "90s, 5m, 2h, 1d, or a time like 2026-11-22T09:30:00Z" },
  { name: "until", value: "TIME", summary: "the same: nothing that was later" },
];

/** Of a command that has the flags of both kinds. Errors: `bad-input`. */
export function parseFlowFilter(args: ParsedArgs, nowMs: number): FlowFilter {
  const [since, until] = [args.flag("since"), args.flag("until")];
  return {
    ...parseTimelessFilter(args),
    ...(since === undefined ? {} : { fromMs: parseSince(since, nowMs) }),
    // The store's ranges end before their end.
    ...(until === undefined ? {} : { toMs: parseSince(until, nowMs, "until") + 1 }),
  };
}

/** Whenever they were. Errors: `bad-input`. */
export function parseTimelessFilter(args: ParsedArgs): FlowFilter {
  const filter = {
    verdicts: args
      .flags("verdict")
      .flatMap((words) => words.split(","))
      .map(parseVerdict),
    names: args.flags("service"),
    sourceNames: args.flags("from"),
    destinationNames: args.flags("to"),
    inNamespaces: args.flags("namespace"),
    protocol: parseProtocol(args.flag("protocol")),
    method: args.flag("method")?.toUpperCase(),
    pathPrefix: args.flag("path"),
    ...parseStatus(args.flag("status")),
    traceId: parseTrace(args.flag("trace")),
    dryRun: parseDryRun(args.flag("dry-run")),
    isAudited: args.isSet("audited"),
  };
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined));
}

function parseVerdict(word: string): Verdict {
  const found = VERDICTS.find((verdict) => verdict === word);
  if (found !== undefined) return found;
  const closest = closestWord(word, VERDICTS);
  const hint = closest === null ? "" : `; did you mean ${closest}?`;
  throw new CardeaError("bad-input", `--verdict is one of ${VERDICTS.join(", ")}, not ${JSON.stringify(word)}${hint}`);
}

function parseProtocol(word: string | undefined): FlowFilter["protocol"] | undefined {
  const found = FLOW_PROTOCOLS.find((protocol) => protocol === word);
  if (word === undefined || found !== undefined) return found;
  throw new CardeaError("bad-input", `--protocol is ${FLOW_PROTOCOLS.join(" or ")}, not ${JSON.stringify(word)}`);
}

function parseStatus(text: string | undefined): Pick<FlowFilter, "statusFrom" | "statusTo"> {
  if (text === undefined) return {};
  const [, from, to, hundreds] = /^(?:([1-5]\d\d)(?:-([1-5]\d\d))?|([1-5])xx)$/.exec(text) ?? [];
  if (hundreds !== undefined) return { statusFrom: Number(hundreds) * 100, statusTo: Number(hundreds) * 100 + 99 };
  if (from !== undefined) return { statusFrom: Number(from), statusTo: Number(to ?? from) };
  throw new CardeaError("bad-input", `--status is like 404, 5xx or 400-499, not ${JSON.stringify(text)}`);
}

function parseTrace(text: string | undefined): string | undefined {
  if (text === undefined || /^[0-9a-f]{32}$/.test(text)) return text;
  throw new CardeaError("bad-input", `--trace is 32 hex digits, not ${JSON.stringify(text)}`);
}

function parseDryRun(word: string | undefined): FlowFilter["dryRun"] | undefined {
  if (word === undefined || word === "allowed" || word === "denied" || word === "any") return word;
  throw new CardeaError("bad-input", `--dry-run is allowed, denied or any, not ${JSON.stringify(word)}`);
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `90s`, `5m`, `2h`, `1d` before now, or a point in time as RFC 3339 has it. Errors: `bad-input`. */
export function parseSince(text: string, nowMs: number, flag: "since" | "until" = "since"): number {
  const [, amount, unit] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text) ?? [];
  if (amount !== undefined && unit !== undefined) return nowMs - Number(amount) * UNIT_MS[unit]!;
  const at = /^\d{4}-\d{2}-\d{2}(T[\d:.]+(Z|[+-]\d{2}:\d{2}))?$/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(at)) return at;
  throw new CardeaError(
    "bad-input",
    `--${flag} is like 90s, 5m, 2h, 1d or 2026-11-22T09:30:00Z, not ${JSON.stringify(text)}`,
  );
}
