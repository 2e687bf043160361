import { formatFault } from "../core/located.ts";
import { systemClock } from "../io/clock.ts";
import { readLines } from "../io/lines.ts";
import { type CustomMatch, createCustomMatcher } from "../policy/custom-match.ts";
import { type CompiledPolicy, compilePolicy } from "../policy/compile.ts";
import { type Decision, decideAndObserve } from "../policy/decide.ts";
import type { PolicyFiles } from "../config/policy-files.ts";
import { type NearestRule, nearestRule } from "../policy/nearest.ts";
import type { Workload } from "../policy/facts.ts";
import { mutualTlsFor, seePeer } from "../policy/authentication/see-peer.ts";
import type { MeshSettings } from "../policy/mesh-settings.ts";
import type { Observation, RuleName } from "../policy/observation.ts";
import { normalizePath } from "../wire/path.ts";
import type { Command, ExitCode, Terminal } from "./command.ts";
import { type Authenticated, authenticate } from "./eval-token.ts";
import { type EvalLine, type EvalRequest, parseEvalLine } from "./eval-request.ts";
import { documentsAt } from "./time-flag.ts";
import { readGoodPolicies, readMeshSettings } from "./policy-input.ts";
import { CardeaError } from "../core/errors.ts";

/** Decides a file of requests, one JSON object a line in, one a line out, by the code that enforces. */
export const command: Command = {
  name: "policy eval",
  summary: "decide requests from a file: one JSON request a line in, one decision a line out",
  usage: "cardea policy eval --policies PATH --requests FILE|- [--mesh FILE]",
  example: "cardea policy eval --policies policies --requests requests.jsonl",
  positional: { min: 0, max: 0 },
  flags: [
    { name: "policies", value: "PATH", repeat: true, summary: "policy file or directory; may be given more than once" },
    { name: "requests", value: "FILE", summary: "requests, one JSON object a line; - reads standard input" },
    { name: "mesh", value: "FILE", summary: "mesh file, for its trust domain, root namespace and defaultAction" },
    { name: "at", value: "TIME", summary: "when: grants that do not hold then match nothing (default: all hold)" },
    { name: "json", value: null, summary: "decisions are JSON lines with and without it" },
  ],
  async run(args, terminal) {
    const paths = args.flags("policies");
    const file = args.flag("requests");
    if (paths.length === 0 || file === undefined)
      throw new CardeaError("bad-input", `--policies and --requests are needed; usage: ${command.usage}`);
    const settings = await readMeshSettings(args.flag("mesh"));
    const { documents, authentication } = await readGoodPolicies(paths);
    const lines = file === "-" ? terminal.stdin() : readLines(file);
    return evaluate(
      lines,
      {
        file: file === "-" ? "stdin" : file,
        decide: createEvaluator({ documents: documentsAt(documents, args), authentication, settings }),
      },
      terminal,
    );
  },
};

/** One line of the output. */
export interface EvalDecision {
  readonly id: string | number | null;
  readonly decision: "allow" | "deny";
  readonly status: 200 | 400 | 401 | 403;
  readonly policy: string | null;
  readonly rule: number | null;
  readonly reason: Decision["reason"] | "bad-request";
  /** As normalised and forwarded; null where there is none. */
  readonly path: string | null;
  /** The other decision that there would be, were the policies in a dry run enforced; empty where it would be the same. */
  readonly dryRun: readonly DryRunDecision[];
  /** The AUDIT policy's rule that marks the request; left out where none does. */
  readonly audit?: RuleName;
  /** A server outside is asked first; the decision is the one that there is if it allows. Left out where none is. */
  readonly custom?: Omit<CustomMatch, "canBeAsked">;
  readonly nearest: NearestRule | null;
  /** What else there is to know: why no policy was asked. */
  readonly note?: string;
  /** Why the line or its path was refused. */
  readonly error?: string;
}

interface DryRunDecision extends Omit<Decision, "allow"> {
  readonly decision: "allow" | "deny";
}

interface Evaluation {
  readonly file: string;
  decide(request: EvalRequest): Promise<EvalDecision>;
}

/** Every line is answered, a bad one by a denial and a line on stderr; it makes the exit code 2. */
async function evaluate(lines: AsyncIterable<string>, evaluation: Evaluation, terminal: Terminal): Promise<ExitCode> {
  let number = 0;
  let denied = 0;
  let bad = 0;
  for await (const text of lines) {
    number += 1;
    // An empty line asks nothing; editors leave one at a file's end.
    if (text.trim() === "") continue;
    const line = parseEvalLine(text, { file: evaluation.file, line: number });
    if (line.kind === "bad") {
      bad += 1;
      for (const fault of line.faults) terminal.stderr(formatFault(fault));
    }
    const decision = line.kind === "bad" ? badLine(line) : await evaluation.decide(line.request);
    if (decision.decision === "deny") denied += 1;
    terminal.stdout(JSON.stringify(decision));
  }
  if (bad > 0) return 2;
  return denied > 0 ? 1 : 0;
}

function badLine(line: EvalLine & { readonly kind: "bad" }): EvalDecision {
  return refusal(line.id, line.faults.map(formatFault).join("; "));
}

function refusal(id: EvalDecision["id"], error: string): EvalDecision {
  const nobody = { policy: null, rule: null, reason: "bad-request", path: null, dryRun: [], nearest: null } as const;
  return { id, decision: "deny", status: 400, ...nobody, error };
}

/** Workloads whose compiled policies are kept; a file that names more of them compiles some again. */
const COMPILED_MAX = 1_000;

interface CompiledFor {
  readonly policy: CompiledPolicy;
  readonly customFor: ReturnType<typeof createCustomMatcher>;
}

interface EvaluatedSet extends Pick<PolicyFiles, "documents" | "authentication"> {
  readonly settings: MeshSettings;
}

function createEvaluator({
  documents,
  authentication,
  settings,
}: EvaluatedSet): (request: EvalRequest) => Promise<EvalDecision> {
  const compiled = new Map<string, CompiledFor>();

  function compiledFor(workload: Workload): CompiledFor {
    const labels = Object.entries(workload.labels).toSorted(([a], [b]) => (a < b ? -1 : 1));
    const key = JSON.stringify([workload.namespace, labels]);
    const known = compiled.get(key);
    if (known !== undefined) return known;
    if (compiled.size >= COMPILED_MAX) compiled.clear();
    const made = {
      policy: compilePolicy(documents, workload, settings),
      customFor: createCustomMatcher(documents, workload, settings),
    };
    compiled.set(key, made);
    return made;
  }

  return async ({ id, workload, peer: given, request, user }) => {
    const { rootNamespace } = settings;
    const seen = seePeer(mutualTlsFor(authentication, workload, rootNamespace), given);
    const { peer } = seen;
    const read = request === null ? null : normalizePath(request.path, settings.pathNormalization);
    // Who is not let in is not listened to.
    if (read?.ok === false && seen.refusal === null) return refusal(id, read.error.message);
    const normalized = read?.ok === true ? read : null;
    const authenticated =
      request === null || seen.refusal !== null
        ? NOBODY
        : await authenticate(user, workload, { authentication, rootNamespace, nowMs: systemClock.wallMs() });
    if (!authenticated.ok) return unauthenticated(id, authenticated, normalized?.path ?? null);
    const { claims } = authenticated;
    const asked =
      request === null || normalized === null ? null : { ...request, path: normalized.pathForMatch, claims };
    const { policy, customFor } = compiledFor(workload);
    const custom = seen.refusal === null ? customFor(peer, asked) : null;
    const { decision: decided, observation } =
      seen.refusal === null ? decideAndObserve(policy, peer, asked) : { decision: seen.refusal, observation: null };
    const decision = custom === null || custom.canBeAsked ? decided : denialOf(custom);
    const audit = observation?.audit ?? null;
    const isDefaultDenial = seen.refusal === null && !decision.allow && !BY_RULE.has(decision.reason);
    return {
      id,
      decision: decision.allow ? "allow" : "deny",
      status: decision.allow ? 200 : 403,
      policy: decision.policy,
      rule: decision.rule,
      reason: decision.reason,
      path: normalized?.path ?? null,
      dryRun: dryRunOf(observation),
      ...(audit === null ? {} : { audit }),
      ...(seen.refusal !== null && seen.refusal.policy === null ? { note: NOBODY_LET_IN } : {}),
      ...(custom === null ? {} : { custom: { policy: custom.policy, rule: custom.rule, provider: custom.provider } }),
      nearest: isDefaultDenial ? nearestRule(documents, { workload, settings, peer, request: asked }) : null,
    };
  };
}

const NOBODY: Authenticated = { ok: true, claims: null };

function unauthenticated(
  id: EvalDecision["id"],
  { reason, status, error }: Extract<Authenticated, { readonly ok: false }>,
  path: string | null,
): EvalDecision {
  return { id, decision: "deny", status, policy: null, rule: null, reason, path, dryRun: [], nearest: null, error };
}

const NOBODY_LET_IN =
  "no PeerAuthentication lets callers without identity in here: a sidecar refuses them before it asks policies. Give one that says PERMISSIVE beside the policies to ask them all the same";

/** Denials that some rule has made. */
const BY_RULE: ReadonlySet<string> = new Set(["deny-rule-matched", "custom-failed"]);

function denialOf({ policy, rule }: CustomMatch): Decision {
  return { allow: false, policy, rule, reason: "custom-failed" };
}

function dryRunOf(observation: Observation | null): EvalDecision["dryRun"] {
  const wouldBe = observation?.dryRun ?? null;
  if (wouldBe === null) return [];
  const { allow, policy, rule, reason } = wouldBe;
  return [{ decision: allow ? "allow" : "deny", policy, rule, reason }];
}
