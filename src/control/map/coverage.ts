import type { MapCoverage, MapRuleUse } from "../../api/map-messages.ts";
import type { AuthorizationPolicy } from "../../policy/document.ts";
import type { DecisionsAnswer, DecisionSum } from "../flows/query.ts";
import { withoutPrefix } from "./explanation.ts";
import { edgeId, endsOf } from "./graph.ts";
import type { Places } from "./places.ts";
import { mayReadNamespace, type Reader } from "./readers.ts";

export interface CoverageSources {
  readonly documents: readonly AuthorizationPolicy[];
  readonly places: Places;
  readonly prefix: string;
  readonly reader: Reader;
}

/** Which rules let through what went on, and which rules of the policies in force decided nothing of it. */
export function coverageOf(answer: DecisionsAnswer, sources: CoverageSources): MapCoverage {
  // The destination's sidecar decides; the source's record of the same exchange names no policy.
  const decided = answer.decisions.filter(({ reporter }) => reporter === "destination");
  const { flows, fromMs, toMs, isWhole } = answer;
  return { flows, fromMs, toMs, isWhole, edges: edgesOf(decided, sources), rules: rulesOf(decided, sources) };
}

function edgesOf(decided: readonly DecisionSum[], { places, reader }: CoverageSources): MapCoverage["edges"] {
  const allowed = decided.filter(
    ({ verdict, destination }) => verdict === "allowed" && mayReadNamespace(reader, destination.namespace),
  );
  const groups = Map.groupBy(allowed, (sum) => edgeId(endsOf(sum, places), sum));
  return [...groups.values()].map((sums) => {
    const { destination, protocol } = sums[0]!;
    const byRule = Map.groupBy(sums, ({ policy, rule }) => JSON.stringify([policy, rule]));
    const by = [...byRule.values()].map((same) => ({
      policy: same[0]!.policy,
      rule: same[0]!.rule,
      flows: same.reduce((sum, each) => sum + each.flows, 0),
    }));
    return { ...endsOf(sums[0]!, places), port: destination.port, protocol, by };
  });
}

function rulesOf(
  decided: readonly DecisionSum[],
  { documents, prefix, reader }: CoverageSources,
): readonly MapRuleUse[] {
  const uses = Map.groupBy(decided, ({ policy, rule }) => JSON.stringify([policy, rule]));
  return documents
    .filter(({ namespace }) => mayReadNamespace(reader, namespace))
    .flatMap(({ id, action, rules }) =>
      rules.map(({ index, source }) => {
        const used = uses.get(JSON.stringify([id, index])) ?? [];
        return {
          policy: id,
          rule: index,
          action,
          file: withoutPrefix(source.file, prefix),
          line: source.line,
          flows: used.reduce((sum, { flows }) => sum + flows, 0),
          lastMs: used.length === 0 ? null : Math.max(...used.map(({ lastMs }) => lastMs)),
        };
      }),
    );
}
