import { CardeaError } from "../core/errors.ts";
import { type Blast, type BlastRadius, blastRadiusOf } from "../policy/analysis/blast-radius.ts";
import type { KnownWorkload } from "../policy/analysis/known-workload.ts";
import type { Edge } from "../policy/analysis/reach.ts";
import type { Command } from "./command.ts";
import { readGround } from "./known-ground.ts";
import { requestWords } from "./known-workloads.ts";
import { parsePercent } from "./percent-flag.ts";
import { readGoodPolicies } from "./policy-input.ts";

/** What a breach of each workload can reach. */
export const command: Command = {
  name: "policy blast-radius",
  summary: "for each workload: what a breach of it can reach, and a number to gate on",
  usage: "cardea policy blast-radius PATH... --mesh FILE [--max PERCENT] [-o text|json|dot]",
  example: "cardea policy blast-radius policies --mesh deploy/local/mesh.yaml --max 50",
  positional: { min: 1, max: Number.POSITIVE_INFINITY },
  flags: [
    {
      name: "mesh",
      value: "FILE",
      summary: "mesh file or Kubernetes manifests: the workloads, their identities and ports",
    },
    { name: "max", value: "PERCENT", summary: "exit 1 when the number is above this" },
    { name: "output", short: "o", value: "FORMAT", summary: "text, json or dot", default: "text" },
    { name: "json", value: null, summary: "the same as -o json" },
  ],
  async run(args, terminal) {
    const file = args.flag("mesh");
    if (file === undefined)
      throw new CardeaError(
        "bad-input",
        `--mesh is needed: it says which workloads there are; usage: ${command.usage}`,
      );
    const format = args.isSet("json") ? "json" : (args.flag("output") ?? "text");
    const write = FORMATS.get(format);
    if (write === undefined)
      throw new CardeaError("bad-input", `--output: expected text, json or dot, found ${JSON.stringify(format)}`);
    const max = parsePercent("max", args.flag("max"));
    const { workloads, settings } = await readGround(file);
    const { documents, authentication } = await readGoodPolicies(args.positional);
    const radius = blastRadiusOf(workloads, { documents, authentication, settings });
    for (const line of write(radius)) terminal.stdout(line);
    for (const name of radius.unknown)
      terminal.stderr(`${name} has more to tell apart than could be looked at: what reaches it is not known`);
    const isAbove = max !== null && radius.score > max;
    if (isAbove) terminal.stderr(`the blast radius is ${radius.score.toFixed(1)} %, more than ${max} %`);
    return isAbove || radius.unknown.length > 0 ? 1 : 0;
  },
};

const FORMATS: ReadonlyMap<string, (radius: BlastRadius) => readonly string[]> = new Map([
  ["text", formatText],
  ["json", formatJson],
  ["dot", formatDot],
]);

function formatText({ blasts, score }: BlastRadius): readonly string[] {
  const others = blasts.length - 1;
  const lines = blasts.flatMap(({ workload, direct, reached }) => [
    `${workload.name} reaches ${reached.length} of ${others}`,
    ...direct.flatMap(describeEdge),
    ...reached
      .filter(({ hops }) => hops > 1)
      .map(({ workload: end, hops, via }) => `  in ${hops} hops ${end.name}, by way of ${via.name}`),
  ]);
  return [...lines, `blast radius: ${score.toFixed(1)} % of the mesh for a breach of one workload`];
}

function describeEdge({ to, grants }: Edge): readonly string[] {
  const ways = grants.map(({ formula, example }) => {
    const by = formula === null ? "the mesh's defaultAction" : `rule ${formula.rule.index} of ${formula.policy.id}`;
    return `${requestWords(example, to)} (${by})`;
  });
  return [`  ${to.workload.name}${to.port === null ? "" : `:${to.port}`} ${ways.join("; ")}`];
}

function formatJson({ blasts, score, unknown }: BlastRadius): readonly string[] {
  const lines = blasts.map((blast) => JSON.stringify({ kind: "workload", ...jsonOf(blast) }));
  return [...lines, JSON.stringify({ kind: "summary", score: Math.round(score * 10) / 10, unknown })];
}

function jsonOf({ workload, direct, reached }: Blast): object {
  return {
    workload: workload.name,
    principal: workload.principal,
    direct: direct.map(({ to, grants }) => ({
      workload: to.workload.name,
      port: to.port,
      protocol: to.protocol,
      grants: grants.map(({ formula, example }) => ({
        policy: formula?.policy.id ?? null,
        rule: formula?.rule.index ?? null,
        example: to.protocol === "http" ? { method: example.method, path: example.path } : null,
      })),
    })),
    reached: reached.map(({ workload: end, hops, via }) => ({ workload: end.name, hops, via: via.name })),
  };
}

/** Graphviz's language: solid for what may be called, each workload with how much it reaches. */
function formatDot({ blasts }: BlastRadius): readonly string[] {
  const nodes = blasts.map(
    ({ workload, reached }) =>
      `  ${node(workload)} [label=${JSON.stringify(`${workload.name}\nreaches ${reached.length}`)}];`,
  );
  const edges = new Set(
    blasts.flatMap(({ workload, direct }) => direct.map(({ to }) => `  ${node(workload)} -> ${node(to.workload)};`)),
  );
  return ["digraph mesh {", "  rankdir=LR;", ...nodes, ...edges, "}"];
}

function node({ name }: KnownWorkload): string {
  return JSON.stringify(name);
}
