import type { AuthorizationPolicy } from "../policy/document.ts";
import { formatRuleName, type Observation } from "../policy/observation.ts";
import { CardeaError } from "../core/errors.ts";
import { issuersOf } from "../control/map/flow-replay.ts";
import type { Command } from "./command.ts";
import { needFlag, readGoodPolicies, readMeshSettings } from "./policy-input.ts";
import { createFlowDecider, FlowKinds, flowWords, recordedFlows } from "./recorded-flows.ts";

/** What policies that are not enforced yet would do to recorded flows. */
export const command: Command = {
  name: "policy staged",
  summary: "what policies in a dry run would deny and allow of recorded flows, and what AUDIT policies mark",
  usage: "cardea policy staged PATH... --flows FILE... [--mesh FILE] [--json]",
  example: "cardea policy staged policies --flows ~/.local/state/cardea/local/flows/shop.orders.jsonl",
  positional: { min: 1, max: Number.POSITIVE_INFINITY },
  flags: [
    { name: "flows", value: "FILE", repeat: true, summary: "recorded flows (JSON lines), of every called workload" },
    { name: "mesh", value: "FILE", summary: "mesh file, for its trust domain, root namespace and defaultAction" },
    { name: "json", value: null, summary: "one JSON object for each kind of flow, each policy, and the sum" },
  ],
  async run(args, terminal) {
    const files = needFlag(args, "flows", command);
    const settings = await readMeshSettings(args.flag("mesh"));
    const { documents, authentication } = await readGoodPolicies(args.positional);
    const staged = documents.filter(isStaged);
    if (staged.length === 0)
      throw new CardeaError(
        "bad-input",
        'no policy is staged: none has the annotation istio.io/dry-run: "true" or the action AUDIT',
      );
    const decide = createFlowDecider(documents);
    const tally = { read: 0, skipped: 0 };
    const kinds = new FlowKinds<Effect>();
    let untold = 0;
    for await (const { flow, question } of recordedFlows(files, settings, tally, {
      issuers: issuersOf(authentication),
    })) {
      const { observation, isObservationKnown } = decide(question);
      if (!isObservationKnown) untold += 1;
      else for (const effect of effectsOf(observation)) kinds.add(`${effect.does} ${effect.by}`, flow, effect);
    }
    const report = { staged, kinds, untold, ...tally };
    for (const line of args.isSet("json") ? formatJson(report) : formatText(report)) terminal.stdout(line);
    return sumOf(kinds, "deny") > 0 ? 1 : 0;
  },
};

function isStaged({ isDryRun, action }: AuthorizationPolicy): boolean {
  return isDryRun || action === "AUDIT";
}

interface Effect {
  readonly does: "deny" | "allow" | "mark";
  /** `namespace/name#rule`; null: no rule would match. */
  readonly by: string | null;
}

function effectsOf(observation: Observation | null): readonly Effect[] {
  const { audit, dryRun } = observation ?? { audit: null, dryRun: null };
  const effects: Effect[] = [];
  if (dryRun !== null) {
    const by = dryRun.policy === null ? null : formatRuleName({ policy: dryRun.policy, rule: dryRun.rule });
    effects.push({ does: dryRun.allow ? "allow" : "deny", by });
  }
  if (audit !== null) effects.push({ does: "mark", by: formatRuleName(audit) });
  return effects;
}

interface Report {
  readonly staged: readonly AuthorizationPolicy[];
  readonly kinds: FlowKinds<Effect>;
  /** Flows of which it hangs on headers or claims, which are not recorded. */
  readonly untold: number;
  readonly read: number;
  readonly skipped: number;
}

function sumOf(kinds: FlowKinds<Effect>, does: Effect["does"], policy: string | null = null): number {
  return kinds
    .all()
    .filter(({ of }) => of.does === does && (policy === null || of.by?.startsWith(`${policy}#`)))
    .reduce((sum, { count }) => sum + count, 0);
}

const TITLES = { deny: "Would be denied", allow: "Would be allowed", mark: "Marked by AUDIT" } as const;

function formatText({ staged, kinds, untold, read, skipped }: Report): readonly string[] {
  const lines: string[] = [];
  for (const does of ["deny", "allow", "mark"] as const) {
    const some = kinds.all().filter(({ of }) => of.does === does);
    if (some.length > 0) lines.push(`${TITLES[does]}:`);
    for (const { of, example, count } of some)
      lines.push(`  ${count} × ${flowWords(example)} (${of.by ?? "no ALLOW rule would match"}), e.g. ${example.id}`);
  }
  for (const { id } of staged) {
    const touched = (["deny", "allow", "mark"] as const).map((does) => sumOf(kinds, does, id));
    if (touched.every((count) => count === 0)) lines.push(`${id}: no recorded flow is decided or marked by its rules`);
  }
  const passed = skipped === 0 ? "" : `; ${skipped} other lines passed over`;
  const some = untold === 0 ? "" : `; of ${untold} it cannot be told, for headers and claims are not recorded`;
  lines.push(
    `Of ${read} recorded flows, ${sumOf(kinds, "deny")} would be denied and ${sumOf(kinds, "allow")} allowed were what is staged enforced; ${sumOf(kinds, "mark")} are marked${some}${passed}.`,
  );
  return lines;
}

function formatJson({ staged, kinds, untold, read, skipped }: Report): readonly string[] {
  const flows = kinds.all().map(({ of, example, count }) => ({
    kind: "flow",
    would: of.does,
    by: of.by,
    count,
    flow: example.id,
    source: example.source.principal,
    destination: `${example.destination.namespace}/${example.destination.workload}`,
    port: example.destination.port,
    method: example.method,
    path: example.path,
  }));
  const policies = staged.map(({ id, action, source }) => ({
    kind: "policy",
    policy: id,
    action,
    ...source,
    denies: sumOf(kinds, "deny", id),
    allows: sumOf(kinds, "allow", id),
    marks: sumOf(kinds, "mark", id),
  }));
  const sum = { denies: sumOf(kinds, "deny"), allows: sumOf(kinds, "allow"), marks: sumOf(kinds, "mark") };
  return [...flows, ...policies, { kind: "summary", ...sum, ...(untold === 0 ? {} : { untold }), read, skipped }].map(
    (each) => JSON.stringify(each),
  );
}
