import { type SpiffeId, trustDomainOf } from "../../core/spiffe-id.ts";
import type { Workload } from "../facts.ts";
import { lastingLabels } from "../grant.ts";
import { withAliases } from "../identity-matcher.ts";
import type { MeshSettings } from "../mesh-settings.ts";
import { pathPatterns } from "./path-groups.ts";

/** Requests of one kind that were seen: by whom, of whom, and how often. */
export interface Observation {
  /** Null: the caller proved no identity. */
  readonly principal: SpiffeId | null;
  readonly workload: Workload;
  /** Null: not known. Traces seldom tell. */
  readonly port: number | null;
  /** Null: bytes other than HTTP. */
  readonly request: { readonly method: string; readonly path: string } | null;
  readonly count: number;
  readonly firstMs: number;
  readonly lastMs: number;
}

/** The least that allows what was seen of one workload. */
export interface Suggestion {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly rules: readonly SuggestedRule[];
  /** Requests of callers without an identity, whom no policy can grant anything that it does not grant to everybody. */
  readonly anonymous: number;
}

export interface SuggestedRule {
  readonly sources: readonly SuggestedSource[];
  readonly operations: readonly SuggestedOperation[];
  readonly evidence: Evidence;
}

/** A foreign domain of a local one's name has to be said in another way; grant.ts. */
export interface SuggestedSource {
  readonly principal: string;
  readonly trustDomain: string | null;
}

export interface SuggestedOperation {
  /** Null: any. */
  readonly port: number | null;
  /** Null: bytes other than HTTP. */
  readonly http: { readonly methods: readonly string[]; readonly paths: readonly string[] } | null;
}

export interface Evidence {
  readonly count: number;
  readonly firstMs: number;
  readonly lastMs: number;
}

/** One policy for each workload that was called: who was seen calling, with which methods, on which paths and ports. */
export function suggestPolicies(observations: readonly Observation[], settings: MeshSettings): readonly Suggestion[] {
  const byWorkload = Map.groupBy(observations, ({ workload }) => keyOf(workload));
  const taken = new Set<string>();
  return [...byWorkload].toSorted(byKey).map(([, seen]) => suggestFor(seen, settings, taken));
}

function suggestFor(seen: readonly Observation[], settings: MeshSettings, taken: Set<string>): Suggestion {
  const { namespace, labels } = seen[0]!.workload;
  const patterns = patternsOf(seen);
  const callers = Map.groupBy(
    seen.filter(({ principal }) => principal !== null),
    ({ principal }) => principal!,
  );
  const grants = [...callers].map(([principal, own]) => ({
    principal,
    own,
    operations: operationsOf(own, patterns),
  }));
  const rules = Map.groupBy(grants, ({ operations }) => JSON.stringify(operations));
  const kept = lastingLabels(labels);
  return {
    name: freeName(nameFor(kept, namespace), namespace, taken),
    namespace,
    labels: kept,
    rules: [...rules.values()].map((alike) => ({
      sources: alike.map(({ principal }) => sourceOf(principal, settings)).toSorted(byPrincipal),
      operations: alike[0]!.operations,
      evidence: evidenceOf(alike.flatMap(({ own }) => own)),
    })),
    anonymous: seen.reduce((sum, { principal, count }) => sum + (principal === null ? count : 0), 0),
  };
}

/** Templates are found over all callers of a port and method: what is a value does not depend on who asks. */
function patternsOf(seen: readonly Observation[]): (observation: Observation) => string {
  const kindOf = ({ port, request }: Observation): string => `${port} ${request?.method}`;
  const patterns = new Map(
    [...Map.groupBy(seen, kindOf)].map(([kind, alike]) => [
      kind,
      pathPatterns([...new Set(alike.flatMap(({ request }) => (request === null ? [] : [request.path])))]),
    ]),
  );
  return (observation) => patterns.get(kindOf(observation))?.get(observation.request?.path ?? "") ?? "";
}

function operationsOf(
  own: readonly Observation[],
  patternOf: (observation: Observation) => string,
): readonly SuggestedOperation[] {
  const operations: SuggestedOperation[] = [];
  const ports = [...Map.groupBy(own, ({ port }) => port)].toSorted(([a], [b]) => (a ?? 0) - (b ?? 0));
  for (const [port, onPort] of ports) {
    if (onPort.some(({ request }) => request === null)) operations.push({ port, http: null });
    const methodsOf = new Map<string, Set<string>>();
    for (const observation of onPort) {
      if (observation.request === null) continue;
      const path = patternOf(observation);
      methodsOf.set(path, (methodsOf.get(path) ?? new Set<string>()).add(observation.request.method));
    }
    const byMethods = Map.groupBy(methodsOf, ([, methods]) => [...methods].toSorted().join(" "));
    for (const [methods, alike] of [...byMethods].toSorted(byKey))
      operations.push({ port, http: { methods: methods.split(" "), paths: alike.map(([path]) => path).toSorted() } });
  }
  return operations;
}

function sourceOf(id: SpiffeId, settings: MeshSettings): SuggestedSource {
  const principal = id.slice("spiffe://".length);
  return withAliases(principal, settings).includes(principal)
    ? { principal, trustDomain: null }
    : { principal: `*${principal}`, trustDomain: trustDomainOf(id) };
}

function evidenceOf(seen: readonly Observation[]): Evidence {
  return {
    count: seen.reduce((sum, { count }) => sum + count, 0),
    firstMs: Math.min(...seen.map(({ firstMs }) => firstMs)),
    lastMs: Math.max(...seen.map(({ lastMs }) => lastMs)),
  };
}

function keyOf({ namespace, labels }: Workload): string {
  return JSON.stringify([namespace, Object.entries(lastingLabels(labels)).toSorted(byKey)]);
}

function nameFor(labels: Readonly<Record<string, string>>, namespace: string): string {
  return (labels["app"] ?? labels["app.kubernetes.io/name"] ?? namespace).toLowerCase().replace(/[^a-z0-9-]+/g, "-");
}

function freeName(name: string, namespace: string, taken: Set<string>): string {
  let free = name;
  for (let i = 2; taken.has(`${namespace}/${free}`); i++) free = `${name}-${i}`;
  taken.add(`${namespace}/${free}`);
  return free;
}

function byKey([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function byPrincipal(a: SuggestedSource, b: SuggestedSource): number {
  return a.principal < b.principal ? -1 : 1;
}

/** A suggestion as a document of `security.istio.io/v1`, each rule under what it rests on. */
export function writeSuggestion({ name, namespace, labels, rules, anonymous }: Suggestion): string {
  const selector = Object.entries(labels).map(
    ([key, value]) => `      ${JSON.stringify(key)}: ${JSON.stringify(value)}`,
  );
  const lines = [
    ...(anonymous === 0 ? [] : [`# Not granted: ${anonymous} requests of callers without an identity.`]),
    "apiVersion: security.istio.io/v1",
    "kind: AuthorizationPolicy",
    "metadata:",
    `  name: ${JSON.stringify(name)}`,
    `  namespace: ${JSON.stringify(namespace)}`,
    "spec:",
    ...(selector.length === 0 ? [] : ["  selector:", "    matchLabels:", ...selector]),
    "  action: ALLOW",
    ...(rules.length === 0 ? ["  rules: []"] : ["  rules:", ...rules.flatMap(ruleLines)]),
  ];
  return `${lines.join("\n")}\n`;
}

function ruleLines({ sources, operations, evidence }: SuggestedRule): readonly string[] {
  const [from, to] = [new Date(evidence.firstMs), new Date(evidence.lastMs)].map((date) => date.toISOString());
  return [
    `    # Seen ${evidence.count} times from ${from} to ${to}.`,
    "    - from:",
    ...sources.flatMap(({ principal, trustDomain }) => [
      "        - source:",
      `            principals: [${JSON.stringify(principal)}]`,
      ...(trustDomain === null ? [] : [`            trustDomains: [${JSON.stringify(trustDomain)}]`]),
    ]),
    ...operationLines(operations),
  ];
}

/** One that asks nothing stands for any operation, and then the others say no more. */
function operationLines(operations: readonly SuggestedOperation[]): readonly string[] {
  if (operations.some(({ port, http }) => port === null && http === null)) return [];
  return [
    "      to:",
    ...operations.flatMap(({ port, http }) => [
      "        - operation:",
      ...(http === null
        ? []
        : [`            methods: ${list(http.methods)}`, `            paths: ${list(http.paths)}`]),
      ...(port === null ? [] : [`            ports: ["${port}"]`]),
    ]),
  ];
}

function list(texts: readonly string[]): string {
  return `[${texts.map((text) => JSON.stringify(text)).join(", ")}]`;
}
