import { runSteps, type Steps } from "../core/slices.ts";
import { DEFAULT_RETRY, NO_HEADER_CHANGES } from "./default-traffic.ts";
import { isGatewayRoute, type TrafficDocument } from "./document.ts";
import { isWildcard, suffixOf } from "./hosts.ts";
import { policyAt } from "./policy-layers.ts";
import { type ChosenRoutes, indexRoutes } from "./route-choice.ts";
import { type Client, indexRules, type MergedRule, mergeRules } from "./rule-choice.ts";
import type { HttpMatch, HttpRoute, PortTraffic, ServiceTraffic, Subset } from "./service-traffic.ts";
import type { TrafficSet } from "./traffic-set.ts";
import { matchesAll } from "./virtual-match.ts";

/** A set, and the documents that each host's part of it was made of. */
export interface CompiledTraffic {
  readonly set: TrafficSet;
  readonly client: Client;
  readonly madeOf: ReadonlyMap<string, readonly TrafficDocument[]>;
}

export interface CompileOptions {
  readonly revision: string;
  readonly client: Client;
  readonly rootNamespace: string;
  /** What was compiled before for the same client: what has not changed since is taken over as it is. */
  readonly previous?: CompiledTraffic | null;
}

/** Documents → what they say to one client. The order of the documents does not matter. */
export function compileTraffic(documents: readonly TrafficDocument[], options: CompileOptions): CompiledTraffic {
  return runSteps(trafficSteps(documents, options));
}

/** The same, a document or a host a step. */
export function* trafficSteps(documents: readonly TrafficDocument[], options: CompileOptions): Steps<CompiledTraffic> {
  const { client, rootNamespace, revision } = options;
  const previous = options.previous?.client === client ? options.previous : null;
  const rules = yield* indexRules(
    documents.filter((each) => each.kind === "DestinationRule"),
    client,
    rootNamespace,
  );
  const routes = yield* indexRoutes(
    documents.filter((each) => each.kind === "VirtualService"),
    documents.filter(isGatewayRoute),
    client,
  );
  const byService = new Map<string, ServiceTraffic>();
  const bySuffix = new Map<string, ServiceTraffic>();
  const madeOf = new Map<string, readonly TrafficDocument[]>();
  for (const host of new Set([...rules.hosts, ...routes.hosts])) {
    const chosenRules = rules.choose(host);
    const chosenRoutes = routes.choose(host);
    const sources = [...chosenRules, ...(chosenRoutes?.documents ?? [])];
    const before = previous === null ? undefined : takeOver(host, sources, previous);
    const traffic = before ?? serviceTraffic(mergeRules(chosenRules), chosenRoutes, client);
    madeOf.set(host, sources);
    if (isWildcard(host)) bySuffix.set(suffixOf(host), traffic);
    else byService.set(host, traffic);
    yield;
  }
  return { set: { revision, byService, bySuffix }, client, madeOf };
}

function takeOver(
  host: string,
  sources: readonly TrafficDocument[],
  { set, madeOf }: CompiledTraffic,
): ServiceTraffic | undefined {
  const before = madeOf.get(host);
  const isSame = before?.length === sources.length && before.every((document, index) => document === sources[index]);
  if (!isSame) return undefined;
  return isWildcard(host) ? set.bySuffix.get(suffixOf(host)) : set.byService.get(host);
}

function serviceTraffic(rule: MergedRule, routes: ChosenRoutes | null, client: Client): ServiceTraffic {
  const subsets = [...rule.subsets.values()];
  const named = [rule.layers, ...subsets.flatMap(({ layers }) => layers ?? [])].flatMap(({ ports }) => [
    ...ports.keys(),
  ]);
  const ports = new Set([...named, ...(routes?.ports ?? [])]);
  const at = (port: number | null): PortTraffic => ({
    policy: policyAt(rule.layers, null, port),
    subsets: new Map(
      subsets.map(({ name, labels, layers }): [string, Subset] => [
        name,
        { labels, policy: policyAt(rule.layers, layers, port) },
      ]),
    ),
    routes: settledRoutes(routes?.at(port) ?? [], port, client),
  });
  return { ports: new Map([...ports].map((port) => [port, at(port)])), default: at(null) };
}

/** The routes that can match at all on a port, with what the client and the port decide decided. */
function settledRoutes(routes: readonly HttpRoute[], port: number | null, client: Client): readonly HttpRoute[] {
  const settled: HttpRoute[] = [];
  for (const route of routes) {
    const matches = route.matches.flatMap((match) => settledMatch(match, port, client));
    if (route.matches.length > 0 && matches.length === 0) continue;
    const takesAll = matches.length === 0 || matches.some(matchesAll);
    settled.push({ ...route, matches: takesAll && !replacesPrefix(route) ? [] : matches });
    // What comes after is never reached.
    if (takesAll) return settled;
  }
  return settled.length === 0 ? [] : [...settled, notFound(settled[0]!)];
}

/** One or none. */
function settledMatch(match: HttpMatch, port: number | null, { namespace, labels }: Client): HttpMatch[] {
  if (match.port !== null && match.port !== port) return [];
  if (match.sourceNamespace !== null && match.sourceNamespace !== namespace) return [];
  if ([...match.sourceLabels].some(([name, value]) => labels[name] !== value)) return [];
  return [{ ...match, port: null, sourceNamespace: null, sourceLabels: NO_LABELS }];
}

const NO_LABELS: ReadonlyMap<string, string> = new Map();

/** Then it matters which prefix was matched. */
function replacesPrefix({ action }: HttpRoute): boolean {
  if (action.kind === "forward") return action.rewrite?.path?.kind === "prefix";
  return action.kind === "redirect" && action.redirect.path?.kind === "prefix";
}

/** Where a service has routes and none matches, the request is for nobody: so Istio has it, and Gateway API. */
function notFound({ name }: HttpRoute): HttpRoute {
  return {
    name: `${name.split("/", 2).join("/")}/no-route`,
    matches: [],
    action: { kind: "respond", status: 404, body: null },
    timeoutMs: 0,
    retry: DEFAULT_RETRY,
    requestHeaders: NO_HEADER_CHANGES,
    responseHeaders: NO_HEADER_CHANGES,
  };
}
