import { isSameJson } from "../../core/json-value.ts";
import { type BypassFinding, formatFinding } from "../bypass/bypass-finding.ts";
import { type BypassRules, bypassRulesOf, notAllowed } from "../bypass/bypass-mode.ts";
import { checkSidecar, hasSidecar } from "../bypass/check-sidecar.ts";
import { checkWhole, findBypasses } from "../bypass/find-bypasses.ts";
import type { NamespaceFacts } from "../inject/injection.ts";
import type { InjectSettings } from "../inject/settings.ts";
import type { PodWorld } from "./pod-world.ts";
import type { AdmissionRequest } from "./review.ts";
import type { Verdict } from "./verdict.ts";

/**
 * Looks at a pod after all mutating webhooks: whether it has its sidecar, and whether it could step around it. In enforce
 * mode an error refuses it; else all is told as warnings.
 */
export async function reviewPod(request: AdmissionRequest, world: PodWorld): Promise<Verdict> {
  if (!isPod(request)) return wrongKind(request, "pods");
  const namespace = await world.namespaceOf(request.namespace);
  if (namespace === null) return unknownNamespace(request.namespace);
  const { verdict, isSure } = judge(request, namespace, world);
  if (isSure) return verdict;
  const now = await world.namespaceOf(request.namespace, { isFresh: true });
  return now === null ? unknownNamespace(request.namespace) : judge(request, now, world).verdict;
}

/** Not sure: it passes by what the namespace says, and what we know of the namespace may be old. */
function judge(request: AdmissionRequest, namespace: NamespaceFacts, world: PodWorld) {
  const rules = bypassRulesOf(namespace, world.bypassMode());
  const findings = findingsOf(request, namespace, world.settings());
  const verdict = verdictOf(notAllowed(findings, rules), rules);
  const isFaultless = findings.every(({ severity }) => severity !== "error") && hasSidecar(request.object);
  return { verdict, isSure: !verdict.allowed || isFaultless };
}

/** Of a pod that runs, what changes is looked at: it could not be created anew, and its author has been told the rest. */
function findingsOf(
  { operation, subResource, object, oldObject }: AdmissionRequest,
  namespace: NamespaceFacts,
  settings: InjectSettings,
): readonly BypassFinding[] {
  if (operation === "CREATE" || oldObject === null)
    return findBypasses(object, { namespace, settings, whenUnsaid: false, stage: "admitted" });
  // Pods outside of the mesh are debugged and changed as their owners like.
  if (!hasSidecar(oldObject)) return [];
  const changed = checkSidecar(object, oldObject);
  if (subResource !== "ephemeralcontainers") return changed;
  // Ephemeral containers are only ever added, behind those that are there: what was found before is found in its place.
  const before = checkWhole(oldObject, { settings });
  const added = checkWhole(object, { settings }).filter((each) => !before.some((other) => isSameFinding(each, other)));
  return [...changed, ...added];
}

function isSameFinding(a: BypassFinding, b: BypassFinding): boolean {
  return a.code === b.code && isSameJson(a.path, b.path);
}

function verdictOf(findings: readonly BypassFinding[], { mode, unknown }: BypassRules): Verdict {
  const errors = findings.filter(({ severity }) => severity === "error");
  const others = findings.filter(({ severity }) => severity === "warning").map(formatFinding);
  const words = unknown.map((word) => `the namespace allows ${JSON.stringify(word)}, which is no code of a finding`);
  const audit = findings.length === 0 ? {} : { audit: { bypasses: findings.map(({ code }) => code).join(" ") } };
  if (mode === "audit" || errors.length === 0)
    return { allowed: true, warnings: [...errors.map(formatFinding), ...others, ...words], ...audit };
  const ways = errors.length === 1 ? "a way" : `${errors.length} ways`;
  const message = `the pod has ${ways} around the mesh\n${errors.map(formatFinding).join("\n")}`;
  return { allowed: false, code: 403, message, warnings: [...others, ...words], ...audit };
}

export function isPod({ kind, subResource }: AdmissionRequest): boolean {
  return kind.group === "" && kind.kind === "Pod" && (subResource === "" || subResource === "ephemeralcontainers");
}

export function wrongKind({ kind, subResource, operation }: AdmissionRequest, wanted: string): Verdict {
  const what = `${operation} of ${JSON.stringify(kind.kind)}${subResource === "" ? "" : `/${subResource}`}`;
  return {
    allowed: false,
    code: 400,
    message: `this webhook is for ${wanted}, and was asked for ${what}`,
    warnings: [],
  };
}

export function unknownNamespace(name: string): Verdict {
  const message = `the namespace ${name} is not known to the control plane yet; try again`;
  return { allowed: false, code: 503, message, warnings: [] };
}
