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
import { type AuthenticationDocument, ofKind } from "../../policy/authentication/document.ts";
import type { Claims } from "../../policy/claims.ts";
import type { Decision } from "../../policy/decision.ts";
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
  // A step before the policies ended it: a token that is good no more, or a server that was not asked.
  if (flow.reason === "permission-lost" && flow.detail !== null) return { at: "not-asked" };
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
  const { documents, authentication, faults } = parsePolicyFiles(files);
  if (faults.length > 0)
    return { at: "impossible", why: `this program does not read revision ${revision}: ${formatFault(faults[0]!)}` };
  const question = questionOf(flow, settings, issuersOf(authentication));
  if (question === null) return { at: "impossible", why: "the record does not say which workload was called" };
  const { meshFile } = options;
  const recorded = decisionOf(flow);
  const explanation = explainDecision(
    policiesAt(documents, flow.timeMs),
    question,
    meshFile === null ? { recorded } : { meshFile, recorded },
  );
  return { at: "explained", explanation, files, disagreement: findDisagreement(flow, explanation) };
}

/** What was decided, as far as a record tells. */
function decisionOf({ verdict, reason, policy, rule }: FlowRecord): Decision {
  const allow = verdict === "allowed";
  // Of a stream that was ended the record says that it was.
  const ended = rule !== null ? "deny-rule-matched" : policy === null ? "no-allow-rule-matched" : "default-action";
  return { allow, policy, rule, reason: isDecision(reason) ? reason : ended };
}

function isDecision(reason: string): reason is Decision["reason"] {
  return BY_POLICY.has(reason) && reason !== "permission-lost";
}

/** What the sidecar asked its policies, from what it recorded; null when the record lacks a part. */
export function questionOf(flow: FlowRecord, settings: MeshSettings, issuers: readonly string[] = []): Question | null {
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
      ? // Headers may be secrets, claims are a person's affair, and neither is recorded (policy/unrecorded.ts).
        {
          method: flow.method,
          path: flow.path ?? "",
          host: flow.host ?? "",
          header: () => undefined,
          claims: claimsOf(flow.requestPrincipal, issuers),
        }
      : null,
    isRecorded: true,
  };
}

/** The two claims that a record's principal is made of. Either may have slashes in it: the issuers are known to the rules. */
function claimsOf(principal: string | null, issuers: readonly string[]): Claims | null {
  if (principal === null) return null;
  const issuer = issuers
    .filter((each) => principal.startsWith(`${each}/`))
    .reduce((longest, each) => (each.length > longest.length ? each : longest), "");
  const slash = issuer === "" ? principal.lastIndexOf("/") : issuer.length;
  return slash < 0 ? null : { iss: principal.slice(0, slash), sub: principal.slice(slash + 1) };
}

/** Whose tokens the documents know. */
export function issuersOf(documents: readonly AuthenticationDocument[]): readonly string[] {
  const rules = ofKind(documents, "RequestAuthentication").flatMap(({ jwtRules }) => jwtRules);
  return rules.flatMap(({ issuer }) => (issuer === null ? [] : [issuer]));
}

function findDisagreement(flow: FlowRecord, { decision }: Explanation): string | null {
  const wasAllowed = flow.verdict === "allowed";
  const isSame = decision.allow === wasAllowed && decision.policy === flow.policy && decision.rule === flow.rule;
  // A stream that a newer revision cut short was judged by that revision; its record tells how it began.
  if (isSame || flow.reason === "permission-lost") return null;
  const why = [flow.path, flow.host].some((text) => text !== null && isCutText(text))
    ? "a value was too long to be recorded whole"
    : "it depended on something that is not recorded";
  const recorded = `${flow.verdict} by ${flow.policy ?? flow.reason}${flow.rule === null ? "" : ` rule ${flow.rule}`}`;
  return `The sidecar recorded ${recorded}; this explanation comes to another end, because ${why}.`;
}
