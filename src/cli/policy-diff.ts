import { CardeaError } from "../core/errors.ts";
import { diffPolicies } from "../policy/analysis/diff.ts";
import { diffAuthentication } from "../policy/analysis/diff-authentication.ts";
import { diffAsked } from "../policy/analysis/diff-custom.ts";
import { workloadsNamedBy } from "../policy/analysis/known-workload.ts";
import type { AuthenticationDocument } from "../policy/authentication/document.ts";
import { DEFAULT_MESH_SETTINGS } from "../policy/mesh-settings.ts";
import { issuersOf } from "../control/map/flow-replay.ts";
import type { Command } from "./command.ts";
import { readGround } from "./known-ground.ts";
import { formatJson, formatMarkdown, formatText, type Comparison } from "./policy-diff-report.ts";
import { flippedFlows } from "./policy-diff-flows.ts";
import { readPolicyVersion } from "./policy-input.ts";

const FAIL_ON = ["allowed", "denied", "any"] as const;

/** What changes in meaning between two sets of policies. */
export const command: Command = {
  name: "policy diff",
  summary: "what two versions of the policies decide otherwise, over all requests and over recorded flows",
  usage:
    "cardea policy diff OLD NEW [--mesh FILE] [--flows FILE]... [--fail-on allowed|denied|any] [-o text|markdown|json]",
  example: "cardea policy diff main:policies policies --mesh deploy/local/mesh.yaml --fail-on allowed",
  positional: { min: 2, max: 2 },
  flags: [
    {
      name: "mesh",
      value: "FILE",
      summary: "mesh file, or Kubernetes manifests: services, trust domain and defaultAction",
    },
    { name: "flows", value: "FILE", repeat: true, summary: "recorded flows (JSON lines): which of them would flip" },
    { name: "fail-on", value: "CHANGE", summary: "exit 1 when something is newly allowed, newly denied, or either" },
    { name: "output", short: "o", value: "FORMAT", summary: "text, markdown or json", default: "text" },
    { name: "json", value: null, summary: "the same as -o json" },
  ],
  async run(args, terminal) {
    const format = args.isSet("json") ? "json" : (args.flag("output") ?? "text");
    const write = FORMATS.get(format);
    if (write === undefined)
      throw new CardeaError("bad-input", `--output: expected text, markdown or json, found ${JSON.stringify(format)}`);
    const failOn = readFailOn(args.flag("fail-on"));
    const [from, to] = [args.positional[0]!, args.positional[1]!];
    const file = args.flag("mesh");
    const known = file === undefined ? null : await readGround(file);
    const settings = known?.settings ?? DEFAULT_MESH_SETTINGS;
    const before = await readPolicyVersion(from);
    const after = await readPolicyVersion(to);
    const sets = { before: before.documents, after: after.documents };
    const workloads = known?.workloads ?? workloadsNamedBy([...sets.before, ...sets.after], settings);
    const found = diffPolicies({ ...sets, settings, workloads });
    const who = diffAuthentication({ before, after, settings, workloads });
    const diff = { ...found, flips: [...found.flips, ...who.flips], unknown: [...found.unknown, ...who.unknown] };
    const asked = diffAsked({ ...sets, settings, workloads });
    const notes = [...who.notes, ...asked.moved];
    const issuers = issuersOf([...before.authentication, ...after.authentication]);
    const flows = await flippedFlows(args.flags("flows"), { ...sets, settings, issuers });
    const revisions = { before: before.revision, after: after.revision };
    const names = { before: from, after: to };
    const comparison: Comparison = { names, revisions, ...sets, workloads, diff, asked: asked.flips, notes, flows };
    for (const line of write(comparison)) terminal.stdout(line);
    const others = differingDocuments(before.authentication, after.authentication);
    if (others.length > 0)
      terminal.stderr(
        `compared for known workloads alone, tokens by their rules and not one by one: ${others.join(", ")}`,
      );
    return hasFailed(comparison, failOn) || (failOn !== null && others.length > 0) ? 1 : 0;
  },
};

/** What says otherwise who a caller is, and whether it needs to be anybody: more than requests can be told apart by. */
function differingDocuments(
  before: readonly AuthenticationDocument[],
  after: readonly AuthenticationDocument[],
): readonly string[] {
  const [was, is] = [textsOf(before), textsOf(after)];
  return [...new Set([...was.keys(), ...is.keys()])].filter((name) => was.get(name) !== is.get(name)).toSorted();
}

function textsOf(documents: readonly AuthenticationDocument[]): ReadonlyMap<string, string> {
  const heeded = documents.filter(({ kind }) => kind !== "Telemetry");
  return new Map(heeded.map(({ kind, id, raw }) => [`${kind} ${id}`, JSON.stringify(raw)]));
}

const FORMATS: ReadonlyMap<string, (comparison: Comparison) => readonly string[]> = new Map([
  ["text", formatText],
  ["markdown", formatMarkdown],
  ["json", formatJson],
]);

function readFailOn(text: string | undefined): (typeof FAIL_ON)[number] | null {
  const word = FAIL_ON.find((each) => each === text);
  if (text === undefined || word !== undefined) return word ?? null;
  throw new CardeaError("bad-input", `--fail-on: expected ${FAIL_ON.join(", ")}, found ${JSON.stringify(text)}`);
}

/** What could not be looked at may hold what was asked for. */
function hasFailed({ diff, flows }: Comparison, failOn: (typeof FAIL_ON)[number] | null): boolean {
  if (failOn === null) return false;
  const changes = new Set([...diff.flips, ...(flows?.flipped ?? [])].map(({ change }) => change));
  const isAllowed = failOn !== "denied" && changes.has("newly-allowed");
  const isDenied = failOn !== "allowed" && changes.has("newly-denied");
  return isAllowed || isDenied || diff.unknown.length > 0;
}
