import type { PolicyFiles } from "../config/policy-files.ts";
import { placeFindings } from "../config/field-places.ts";
import { systemClock } from "../io/clock.ts";
import { LIMITS } from "../core/limits.ts";
import { type Fault, formatFault } from "../core/located.ts";
import { checkPolicies, type PolicyCheckResult } from "../policy/analysis/check/check-policies.ts";
import { lintPeers } from "../policy/authentication/lint-peers.ts";
import { lintTelemetries } from "../policy/authentication/lint-telemetries.ts";
import { DEFAULT_MESH_SETTINGS } from "../policy/mesh-settings.ts";
import { lintTraffic } from "../traffic/lint.ts";
import type { Command, Terminal } from "./command.ts";
import { type KnownGround, readGround } from "./known-ground.ts";
import { readPoliciesWithTexts } from "./policy-input.ts";

/** Reads policy files as the control plane would, and says all that is wrong with them. */
export const command: Command = {
  name: "policy check",
  summary: "errors and warnings of policies and traffic rules, by file, line, column and field",
  usage: "cardea policy check PATH... [--mesh FILE] [--strict] [--json]",
  example: "cardea policy check policies --mesh deploy/local/mesh.yaml",
  positional: { min: 1, max: Number.POSITIVE_INFINITY },
  flags: [
    {
      name: "mesh",
      value: "FILE",
      summary: "mesh file or Kubernetes manifests: warnings of services, ports and callers that are not there",
    },
    { name: "strict", value: null, summary: "warnings count: exit 1 when there is one" },
    { name: "json", value: null, summary: "one JSON object for each finding" },
  ],
  async run(args, terminal) {
    const { files, policies } = await readPoliciesWithTexts(args.positional);
    const { documents, authentication, traffic, tests, invariants, faults, revision } = policies;
    const mesh = args.flag("mesh");
    const ground = mesh === undefined ? null : await readGround(mesh);
    const services = ground === null ? null : new Set(ground.workloads.flatMap(({ hosts }) => hosts));
    const checked = check({ documents, authentication, ground });
    const { rootNamespace } = ground?.settings ?? DEFAULT_MESH_SETTINGS;
    const peers = lintPeers(authentication, { rootNamespace, workloads: ground?.workloads ?? null });
    const warnings = [
      ...placeFindings(checked.findings, files),
      ...peers,
      ...lintTelemetries(authentication, rootNamespace),
      ...lintTraffic(traffic, services),
    ];
    const isJson = args.isSet("json");
    for (const fault of faults) report("error", fault, terminal, isJson);
    for (const warning of warnings) report("warning", warning, terminal, isJson);
    if (faults.length > 0) {
      terminal.stderr(`${count(faults.length, "error")}: the set is refused as a whole`);
      return 2;
    }
    const rules = traffic.length === 0 ? "" : `, ${count(traffic.length, "traffic rule")}`;
    const held = invariants.length === 0 ? "" : `, ${count(invariants.length, "Invariant")}`;
    const found = `${count(documents.length, "policy", "policies")}, ${count(tests.length, "PolicyTest")}${held}`;
    if (checked.unknown > 0)
      terminal.stderr(
        `of ${count(checked.unknown, "rule")} it is not known whether others cover them: there is too much to tell apart`,
      );
    terminal.stderr(`${found}${rules}, ${count(warnings.length, "warning")}; revision ${revision}`);
    return warnings.length > 0 && args.isSet("strict") ? 1 : 0;
  },
};

interface Checked extends Pick<PolicyFiles, "documents" | "authentication"> {
  readonly ground: KnownGround | null;
}

/** For all rules of a set; each has a bound of its own besides. */
const STEPS_MAX = 100 * LIMITS.policyAnalysisStepsMax;

function check({ documents, authentication, ground }: Checked): PolicyCheckResult {
  const settings = ground?.settings ?? DEFAULT_MESH_SETTINGS;
  const workloads = ground?.workloads ?? null;
  return checkPolicies({
    about: documents,
    documents,
    settings,
    workloads,
    authentication,
    isMeshKnown: ground?.isMesh ?? false,
    nowMs: systemClock.wallMs(),
    stepsMax: STEPS_MAX,
  });
}

function report(
  severity: "error" | "warning",
  fault: Fault & { readonly code?: string },
  terminal: Terminal,
  isJson: boolean,
): void {
  if (isJson) terminal.stdout(JSON.stringify({ severity, ...fault }));
  else terminal.stderr(formatFault({ ...fault, message: severity === "error" ? fault.message : warningOf(fault) }));
}

function warningOf({ message, code }: Fault & { readonly code?: string }): string {
  return `warning: ${message}${code === undefined ? "" : ` [${code}]`}`;
}

function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}
