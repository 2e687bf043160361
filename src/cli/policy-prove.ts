import { CardeaError } from "../core/errors.ts";
import { workloadsNamedBy } from "../policy/analysis/known-workload.ts";
import { type Counterexample, type Ground, type Proof, prove } from "../policy/analysis/prove.ts";
import { DEFAULT_MESH_SETTINGS } from "../policy/mesh-settings.ts";
import type { Command, Terminal } from "./command.ts";
import { readGround } from "./known-ground.ts";
import { callerName, requestWords } from "./known-workloads.ts";
import { readGoodPolicies } from "./policy-input.ts";

/** Holds Invariant documents over all requests. */
export const command: Command = {
  name: "policy prove",
  summary: "hold Invariant documents over all requests, or print a request that breaks one",
  usage: "cardea policy prove PATH... [--mesh FILE] [--json]",
  example: "cardea policy prove policies --mesh deploy/local/mesh.yaml",
  positional: { min: 1, max: Number.POSITIVE_INFINITY },
  flags: [
    {
      name: "mesh",
      value: "FILE",
      summary: "mesh file, or Kubernetes manifests: services, trust domain and defaultAction",
    },
    { name: "json", value: null, summary: "one JSON object for each Invariant" },
  ],
  async run(args, terminal) {
    const mesh = args.flag("mesh");
    const { documents, authentication, invariants } = await readGoodPolicies(args.positional);
    if (invariants.length === 0) throw new CardeaError("bad-input", "there is no Invariant document to hold");
    const known = mesh === undefined ? null : await readGround(mesh);
    const settings = known?.settings ?? DEFAULT_MESH_SETTINGS;
    const ground = {
      documents,
      authentication,
      settings,
      workloads: known?.workloads ?? workloadsNamedBy(documents, settings),
    };
    const proofs = prove(invariants, ground);
    if (args.isSet("json")) for (const proof of proofs) terminal.stdout(JSON.stringify(jsonOf(proof, ground)));
    else writeReport(proofs, ground, terminal);
    return proofs.every(({ result }) => result === "holds") ? 0 : 1;
  },
};

function writeReport(proofs: readonly Proof[], ground: Ground, terminal: Terminal): void {
  const paint = (code: number, text: string): string => (terminal.colour ? `\u001B[${code}m${text}\u001B[0m` : text);
  for (const proof of proofs) {
    const { invariant, result } = proof;
    const sign = result === "holds" ? paint(32, "✓") : paint(31, "✗");
    const said = invariant.description === null ? "" : `: ${invariant.description}`;
    terminal.stdout(`${sign} ${invariant.name}${said}`);
    for (const line of detailsOf(proof, ground)) terminal.stdout(`    ${line}`);
  }
  const count = (result: Proof["result"]): number => proofs.filter((proof) => proof.result === result).length;
  const others = (["broken", "unknown", "vacuous"] as const).map((result) => `${count(result)} ${result}`);
  terminal.stdout(`${count("holds")} hold, ${others.join(", ")}`);
}

function detailsOf({ invariant, result, counterexamples, ways, unknown }: Proof, ground: Ground): readonly string[] {
  const place = `${invariant.source.file}:${invariant.source.line ?? 1}`;
  if (result === "vacuous") return [`${place} names no workload of the mesh, so it says nothing`];
  return [
    ...counterexamples.map((each) => describe(each, ground)),
    ...ways.map((way) => way.map(({ name }) => name).join(" → ")),
    ...unknown.map((name) => `${name} has more to tell apart than could be looked at: not known`),
  ];
}

function describe({ destination, facts, decision }: Counterexample, ground: Ground): string {
  const caller = callerName(facts.principal, ground.workloads);
  const what = requestWords(facts, destination);
  const port = destination.port === null ? "" : `:${destination.port}`;
  return `${caller} → ${destination.workload.name}${port} ${what}: allowed by ${ruleOf(decision, ground)}`;
}

function ruleOf({ policy, rule }: Counterexample["decision"], { documents }: Ground): string {
  const document = documents.find((each) => each.id === policy);
  const source = document?.rules.find((each) => each.index === rule)?.source;
  if (source === undefined) return policy ?? "default";
  return `rule ${rule} of ${policy} (${source.file}:${source.line ?? 1})`;
}

function remoteOf({ remoteIp }: Counterexample["facts"]): { readonly remoteIp?: string } {
  return remoteIp === null ? {} : { remoteIp };
}

function jsonOf({ invariant, result, counterexamples, ways, unknown, looked }: Proof, ground: Ground): object {
  return {
    invariant: invariant.name,
    file: invariant.source.file,
    line: invariant.source.line,
    result,
    looked,
    unknown,
    counterexamples: counterexamples.map(({ destination, facts, decision }) => ({
      destination: destination.workload.name,
      port: destination.port ?? facts.destinationPort,
      protocol: destination.protocol,
      source: { principal: facts.principal, ip: facts.sourceIp, ...remoteOf(facts) },
      ...(destination.protocol === "http"
        ? {
            request: {
              method: facts.method,
              path: facts.path,
              host: facts.host,
              headers: facts.headers,
              claims: facts.claims,
            },
          }
        : {}),
      policy: decision.policy,
      rule: decision.rule,
      by: ruleOf(decision, ground),
    })),
    ways: ways.map((way) => way.map(({ name }) => name)),
  };
}
