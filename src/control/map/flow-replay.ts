import { join } from "node:path";
import { parsePolicyFiles } from "../../config/policy-files.ts";
import { parseRevisionFile, type PolicyText, revisionFileName } from "../../config/revision-file.ts";
import { toCardeaError } from "../../core/errors.ts";
import { formatFault } from "../../core/located.ts";
import { parseSpiffeId } from "../../core/spiffe-id.ts";
import { readTextIfPresent } from "../../io/files.ts";
import type { FlowRecord } from "../../observe/flow.ts";
import { isCutText } from "../../observe/json-text.ts";
import { type Explanation, explainDecision } from "../../policy/explain.ts";
import type { Question } from "../../policy/facts.ts";
import { policiesAt } from "../../policy/grant-times.ts";
import type { MeshSettings } from "../../policy/mesh-settings.ts";

/** What came of putting a recorded decision before the policies of its time again. */
export type Replay =
  | {
      readonly at: "explained";
      readonly explanation: Explanation;
      /** The texts that decided, with the paths that the explanation names. */
      readonly files: readonly PolicyText[];
      /** Why the outcome is another than the recorded one; null when it is the same. */
      readonly disagreement: string | null;
    }
  /** Nothing that a policy decided. */
  | { readonly at: "not-asked" }
  | { readonly at: "impossible"; readonly why: string };

const BY_POLICY = new Set<string>([
  "allow-rule-matched",
  "break-glass",
  "deny-rule-matched",
  "no-allow-rule-matched",
  "default-action",
  "denied-by-policy",
  "permission-lost",
]);

/** Whether a policy's decision is what the record tells of. */
export function wasDecidedByPolicy({ reason, verdict }: FlowRecord): boolean {
  return BY_POLICY.has(reason) && verdict !== "error" && reason !== "permission-lost";
}

export interface ReplayOptions {
  /** Where the control plane keeps the policy texts of each revision. */
  readonly revisionsDirectory: string;
  /** The mesh's file, to name where its default stands. */
  readonly meshFile: string | null;
}

/** A revision of a large mesh is larger than a document may be. */
const REVISION_BYTES_MAX = 256 * 1024 * 1024;

/** Decides a recorded flow once more, by the same code and texts, and asks that code why. */
export async function replayFlow(flow: FlowRecord, options: ReplayOptions): Promise<Replay> {
  if (!BY_POLICY.has(flow.reason)) return { at: "not-asked" };
  if (flow.revision === null) return { at: "impossible", why: "no policy revision was recorded with it" };
  try {
    return await replayRevision(flow, flow.revision, options);
  } catch (thrown) {
    return { at: "impossible", why: toCardeaError(thrown).message };
  }
}

async function replayRevision(flow: FlowRecord, revision: string, options: ReplayOptions): Promise<Replay> {
  // It becomes part of a path; a record that says otherwise is damaged.
  if (!/^[\w-]{1,64}$/.test(revision)) return { at: "impossible", why: "its policy revision is not readable" };
  const path = join(options.revisionsDirectory, revisionFileName(revision));
  const text = await readTextIfPresent(path, REVISION_BYTES_MAX);
  if (text === null) return { at: "impossible", why: `the policy texts of revision ${revision} are no longer kept` };
  const { settings, files } = parseRevisionFile(text, path);
  const { documents, faults } = parsePolicyFiles(files);
  if (faults.length > 0)
    return { at: "impossible", why: `this program does not read revision ${revision}: ${formatFault(faults[0]!)}` };
  const question = questionOf(flow, settings);
  if (question === null) return { at: "impossible", why: "the record does not say which workload was called" };
  const { meshFile } = options;
  const explanation = explainDecision(
    policiesAt(documents, flow.timeMs),
    question,
    meshFile === null ? {} : { meshFile },
  );
  return { at: "explained", explanation, files, disagreement: findDisagreement(flow, explanation) };
}

/** What the sidecar asked its policies, from what it recorded; null when the record lacks a part. */
export function questionOf(flow: FlowRecord, settings: MeshSettings): Question | null {
  const { source, destination } = flow;
  if (destination.namespace === null || destination.labels === null) return null;
  const isHttp = flow.protocol === "http" && flow.method !== null;
  return {
    settings,
    workload: { namespace: destination.namespace, labels: destination.labels },
    peer: {
      principal: source.principal === null ? null : parseSpiffeId(source.principal),
      sourceIp: source.ip,
      remoteIp: flow.remoteIp ?? source.ip,
      destinationIp: destination.ip,
      destinationPort: destination.port,
      sni: flow.tls.sni,
    },
    request: isHttp
      ? // Headers may be secrets and are not recorded: conditions on them find nothing here.
        { method: flow.method, path: flow.path ?? "", host: flow.host ?? "", header: () => undefined, claims: null }
      : null,
  };
}

function findDisagreement(flow: FlowRecord, { decision }: Explanation): string | null {
  const wasAllowed = flow.verdict === "allowed";
  const isSame = decision.allow === wasAllowed && decision.policy === flow.policy && decision.rule === flow.rule;
  // A stream that a newer revision cut short was judged by that revision; its record tells how it began.
  if (isSame || flow.reason === "permission-lost") return null;
  const why = [flow.path, flow.host].some((text) => text !== null && isCutText(text))
    ? "a value was too long to be recorded whole"
    : "it depended on something that is not recorded, such as a header";
  const recorded = `${flow.verdict} by ${flow.policy ?? flow.reason}${flow.rule === null ? "" : ` rule ${flow.rule}`}`;
  return `The sidecar recorded ${recorded}; this explanation comes to another end, because ${why}.`;
}
