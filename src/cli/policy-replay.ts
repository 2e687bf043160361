import { systemClock } from "../io/clock.ts";
import type { FlowRecord } from "../observe/flow.ts";
import type { Decision } from "../policy/decision.ts";
import { policiesAt } from "../policy/grant-times.ts";
import type { Command } from "./command.ts";
import { issuersOf, wasDecidedByPolicy } from "../control/map/flow-replay.ts";
import { readGoodPolicies, readMeshSettings, needFlag } from "./policy-input.ts";
import { readTime } from "./time-flag.ts";
import {
  createFlowDecider,
  type FlowDecider,
  FlowKinds,
  type FlowTally,
  flowWords,
  recordedFlows,
} from "./recorded-flows.ts";

/** Puts recorded flows before policies, and says what would be decided otherwise than it was. */
export const command: Command = {
  name: "policy replay",
  summary: "what recorded flows would come to under policies, and where that is not what was recorded",
  usage: "cardea policy replay FLOWS... --policies PATH... [--mesh FILE] [--json]",
  example: "cardea policy replay ~/.local/state/cardea/local/flows/shop.orders.jsonl --policies policies",
  positional: { min: 1, max: Number.POSITIVE_INFINITY },
  flags: [
    { name: "policies", value: "PATH", repeat: true, summary: "policy files or directories" },
    { name: "mesh", value: "FILE", summary: "mesh file, for its trust domain, root namespace and defaultAction" },
    { name: "at", value: "TIME", summary: "when: grants that do not hold then match nothing (default: now)" },
    { name: "json", value: null, summary: "one JSON object for each flow, and the sum" },
  ],
  async run(args, terminal) {
    const paths = needFlag(args, "policies", command);
    const settings = await readMeshSettings(args.flag("mesh"));
    const { documents, authentication, revision } = await readGoodPolicies(paths);
    const decide = createFlowDecider(policiesAt(documents, readTime(args.flag("at"), systemClock, "at")));
    const tally = { read: 0, skipped: 0 };
    const kinds = new FlowKinds<Replayed>();
    const unknown = new FlowKinds<Replayed>();
    let sameByOther = 0;
    const taken = { takes: wasDecidedByPolicy, issuers: issuersOf(authentication) };
    for await (const { flow, question } of recordedFlows(args.positional, settings, tally, taken)) {
      const replayed = replay(flow, decide(question));
      if (args.isSet("json")) terminal.stdout(JSON.stringify(jsonOf(flow, replayed)));
      if (replayed.missing.length > 0) unknown.add(replayed.missing.join(), flow, replayed);
      else if (replayed.isChanged) kinds.add(String(replayed.now.allow), flow, replayed);
      else if (replayed.now.policy !== flow.policy || replayed.now.rule !== flow.rule) sameByOther += 1;
    }
    const sum = { ...countOf(kinds), sameByOther, unknown: unknown.all().reduce((all, { count }) => all + count, 0) };
    if (args.isSet("json")) terminal.stdout(JSON.stringify({ kind: "summary", ...sum, ...tally, revision }));
    else for (const line of [...linesOf(kinds), ...unknownLines(unknown), summaryOf(sum, tally)]) terminal.stdout(line);
    return sum.newlyAllowed + sum.newlyDenied > 0 ? 1 : 0;
  },
};

interface Replayed {
  readonly now: Decision;
  /** Not known where something is missing. */
  readonly isChanged: boolean;
  /** What would tell, and no record carries. */
  readonly missing: readonly string[];
}

/** In AUDIT what was denied was let through: the decision was a denial all the same. */
function replay(flow: FlowRecord, { decision: now, missing }: ReturnType<FlowDecider>): Replayed {
  return { now, missing, isChanged: missing.length === 0 && now.allow !== (flow.verdict === "allowed") };
}

function jsonOf(flow: FlowRecord, { now, isChanged, missing }: Replayed) {
  const { id, timeMs, verdict, policy, rule, reason, revision } = flow;
  const recorded = { decision: verdict === "allowed" ? "allow" : "deny", policy, rule, reason, revision };
  const { allow, ...why } = now;
  return {
    kind: "flow",
    id,
    time: new Date(timeMs).toISOString(),
    changed: missing.length > 0 ? null : isChanged,
    recorded,
    now: missing.length > 0 ? { decision: "unknown", missing } : { decision: allow ? "allow" : "deny", ...why },
  };
}

function countOf(kinds: FlowKinds<Replayed>): { readonly newlyAllowed: number; readonly newlyDenied: number } {
  const count = (allow: boolean): number =>
    kinds.all().reduce((sum, { of, count: times }) => sum + (of.now.allow === allow ? times : 0), 0);
  return { newlyAllowed: count(true), newlyDenied: count(false) };
}

function linesOf(kinds: FlowKinds<Replayed>): readonly string[] {
  return kinds.all().flatMap(({ of, example, count }) => {
    const [was, is] = of.now.allow ? ["denied", "allowed"] : ["allowed", "denied"];
    const { policy, rule, reason, id } = example;
    return [
      `${count} × ${was} then, ${is} now: ${flowWords(example)}`,
      `      recorded: ${reasonOf({ policy, rule, reason })}; now: ${reasonOf(of.now)}; e.g. ${id}`,
    ];
  });
}

function unknownLines(unknown: FlowKinds<Replayed>): readonly string[] {
  return unknown
    .all()
    .flatMap(({ of, example, count }) => [
      `${count} × cannot be told: ${flowWords(example)}`,
      `      it hangs on what no record carries: ${of.missing.join(", ")}; e.g. ${example.id}`,
    ]);
}

function reasonOf({ policy, rule, reason }: Pick<FlowRecord, "policy" | "rule" | "reason">): string {
  return policy === null ? reason : `${reason} (${policy}${rule === null ? "" : ` rule ${rule}`})`;
}

type Sum = {
  readonly newlyAllowed: number;
  readonly newlyDenied: number;
  readonly sameByOther: number;
  readonly unknown: number;
};

function summaryOf({ newlyAllowed, newlyDenied, sameByOther, unknown }: Sum, { read, skipped }: FlowTally): string {
  const passed = skipped === 0 ? "" : `; ${skipped} other lines passed over`;
  const untold = unknown === 0 ? "" : `, of ${unknown} it cannot be told`;
  const others = sameByOther === 0 ? "" : `, ${sameByOther} decided alike by another rule`;
  return `Of ${read} recorded decisions, ${newlyAllowed} denials would be allowed and ${newlyDenied} permissions denied now${others}${untold}${passed}.`;
}
