import { CardeaError } from "../core/errors.ts";
import { closestWord } from "../core/closest-word.ts";
import { type FlowPeer, type FlowRecord, VERDICTS } from "../observe/flow.ts";
import type { ParsedArgs } from "./command.ts";

/** Which flows were asked for. */
export interface FlowFilter {
  readonly verdicts: readonly string[];
  readonly services: readonly string[];
  /** What policies in a dry run would decide; null: whatever they would. */
  readonly dryRun: "allowed" | "denied" | "any" | null;
  /** Only what an AUDIT policy marked. */
  readonly isAudited: boolean;
  /** Null: from the beginning. */
  readonly sinceMs: number | null;
}

/** Errors: `bad-input`. */
export function parseFlowFilter(args: ParsedArgs, nowMs: number): FlowFilter {
  const since = args.flag("since");
  return {
    verdicts: args
      .flags("verdict")
      .flatMap((words) => words.split(","))
      .map(parseVerdict),
    services: args.flags("service"),
    dryRun: parseDryRun(args.flag("dry-run")),
    isAudited: args.isSet("audited"),
    sinceMs: since === undefined ? null : parseSince(since, nowMs),
  };
}

/** Whether the flow is one of those. */
export function filterTakes(filter: FlowFilter, flow: FlowRecord): boolean {
  const { verdicts, services, sinceMs, dryRun, isAudited } = filter;
  return (
    (sinceMs === null || flow.timeMs >= sinceMs) &&
    (dryRun === null || (dryRun === "any" ? flow.dryRun !== null : flow.dryRun === dryRun)) &&
    (!isAudited || flow.auditedBy !== null) &&
    (verdicts.length === 0 || verdicts.includes(flow.verdict)) &&
    (services.length === 0 || services.some((name) => isNamed(flow.source, name) || isNamed(flow.destination, name)))
  );
}

/** `payments`, `payments.shop`, `shop/payments`, the service's full host name or a whole SPIFFE ID. */
function isNamed(peer: FlowPeer, name: string): boolean {
  const { workload, namespace, service, principal } = peer;
  if (name === workload || name === principal || name === service) return true;
  if (workload !== null && (name === `${workload}.${namespace}` || name === `${namespace}/${workload}`)) return true;
  return service !== null && service.startsWith(`${name}.`);
}

function parseVerdict(word: string): string {
  if (VERDICTS.some((verdict) => verdict === word)) return word;
  const closest = closestWord(word, VERDICTS);
  const hint = closest === null ? "" : `; did you mean ${closest}?`;
  throw new CardeaError("bad-input", `--verdict is one of ${VERDICTS.join(", ")}, not ${JSON.stringify(word)}${hint}`);
}

function parseDryRun(word: string | undefined): FlowFilter["dryRun"] {
  if (word === undefined || word === "allowed" || word === "denied" || word === "any") return word ?? null;
  throw new CardeaError("bad-input", `--dry-run is allowed, denied or any, not ${JSON.stringify(word)}`);
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `90s`, `5m`, `2h`, `1d` before now, or a point in time as RFC 3339 has it. Errors: `bad-input`. */
export function parseSince(text: string, nowMs: number): number {
  const [, amount, unit] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text) ?? [];
  if (amount !== undefined && unit !== undefined) return nowMs - Number(amount) * UNIT_MS[unit]!;
  const at = /^\d{4}-\d{2}-\d{2}(T[\d:.]+(Z|[+-]\d{2}:\d{2}))?$/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(at)) return at;
  throw new CardeaError(
    "bad-input",
    `--since is like 90s, 5m, 2h, 1d or 2026-11-22T09:30:00Z, not ${JSON.stringify(text)}`,
  );
}
