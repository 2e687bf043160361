import type { MapExplanation, MapRule } from "../../api/map-messages.ts";
import type { PolicyText } from "../../config/revision-file.ts";
import type { FlowRecord } from "../../observe/flow.ts";
import { adviceFor, meaningOf } from "../../observe/flow-advice.ts";
import type { ClauseFinding } from "../../policy/explain.ts";
import { mapFlow } from "./flow-page.ts";
import type { Replay } from "./flow-replay.ts";
import type { Places } from "./places.ts";
import type { Reader } from "./readers.ts";
import { excerptOf } from "./rule-excerpt.ts";

export interface ExplanationSources {
  readonly places: Places;
  readonly reader: Reader;
  /** What file names of policies begin with, and need not be shown. */
  readonly prefix: string;
}

const DISGUISED_PATH =
  "The path came in another form than it is matched in. Ordinary clients do not write them so: look at the caller before you grant it anything.";
const AUDITED = "It went through only because enforcement is AUDIT, for the mesh or this workload.";

/** What `cardea explain` says of a flow, for the page. */
export function explanationOf(flow: FlowRecord, replay: Replay, sources: ExplanationSources): MapExplanation {
  const head = { flow: mapFlow(flow, sources.places, sources.reader) };
  if (replay.at === "explained") return { ...head, ...ofReplay(flow, replay, sources) };
  const { policy, rule } = head.flow;
  return {
    ...head,
    summary: sentence(meaningOf(flow.reason), sources),
    notes: [
      ...(policy === null ? [] : [`Decided by ${policy}${rule === null ? "" : `, rule ${rule}`}.`]),
      ...(flow.detail === null ? [] : [`In this case: ${flow.detail}.`]),
      ...(replay.at === "impossible" ? [`There is no more to tell: ${replay.why}.`] : []),
    ],
    advice: adviceFor(flow.reason),
    decided: null,
    nearest: null,
    grant: null,
  };
}

type Explained = Extract<Replay, { at: "explained" }>;

function ofReplay(
  flow: FlowRecord,
  { explanation, files, disagreement }: Explained,
  sources: ExplanationSources,
): Omit<MapExplanation, "flow"> {
  const { decision, file, line, clauses, nearest, grant, summary, observed, advice } = explanation;
  const decider = file === null || decision.policy === null || decision.rule === null ? null : decision;
  return {
    summary: sentence(summary, sources),
    notes: [
      ...(flow.verdict === "would-deny" ? [AUDITED] : []),
      ...observed.map((each) => sentence(each, sources)),
      ...(flow.reason === "permission-lost" ? ["The stream had been allowed before; this revision ended it."] : []),
      ...(disagreement === null ? [] : [disagreement]),
      ...(flow.verdict === "allowed" || flow.receivedPath === null ? [] : [DISGUISED_PATH]),
    ],
    advice: advice === null ? null : sentence(advice, sources),
    decided:
      decider === null
        ? null
        : ruleOf({ policy: decider.policy!, rule: decider.rule!, file: file!, line }, clauses, { files, ...sources }),
    nearest: nearest === null ? null : ruleOf(nearest, nearest.failing, { files, ...sources }),
    grant: grant === null ? null : { ...nameOf(grant), yaml: grant },
  };
}

function ruleOf(
  { policy, rule, file, line }: Pick<MapRule, "policy" | "rule" | "file" | "line">,
  clauses: readonly ClauseFinding[],
  { files, prefix }: Pick<ExplanationSources, "prefix"> & { readonly files: readonly PolicyText[] },
): MapRule {
  const marked = clauses.flatMap((clause) => (clause.line === null ? [] : [clause.line]));
  return {
    policy,
    rule,
    file: withoutPrefix(file, prefix),
    line,
    excerpt: line === null ? [] : excerptOf({ file, line, marked: marked.length === 0 ? [line] : marked }, files),
    clauses: clauses.map(({ field, expected, actual }) => ({ field, expected, actual })),
  };
}

/** Of the policy that we wrote ourselves. */
function nameOf(grant: string): { readonly name: string; readonly namespace: string } {
  return {
    name: /^ {2}name: (\S+)$/m.exec(grant)?.[1] ?? "grant",
    namespace: /^ {2}namespace: (\S+)$/m.exec(grant)?.[1] ?? "",
  };
}

export function withoutPrefix(file: string, prefix: string): string {
  return file.startsWith(prefix) ? file.slice(prefix.length) : file;
}

/** A sentence of ours with names from files in it: begun large, ended with a stop, without the way to the files. */
function sentence(text: string, { prefix }: ExplanationSources): string {
  const near = prefix === "" ? text : text.replaceAll(prefix, "");
  return `${near.charAt(0).toUpperCase()}${near.slice(1)}${/[.!?]$/.test(near) ? "" : "."}`;
}
