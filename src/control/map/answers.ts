import type { MapBlast, MapCoverage, MapExplanation, MapGraph, MapMesh, MapReadiness } from "../../api/map-messages.ts";
import { CardeaError } from "../../core/errors.ts";
import { FLOW_LIMITS } from "../../core/flow-limits.ts";
import type { Latest } from "../../core/latest.ts";
import { type Fault, formatFault } from "../../core/located.ts";
import type { Clock } from "../../core/ports.ts";
import type { MeshSettings } from "../../policy/mesh-settings.ts";
import type { PolicyContent } from "../distribute/policy-content.ts";
import type { SidecarStatus } from "../distribute/sidecars.ts";
import type { FlowQueries } from "../flows/query.ts";
import { blastOf } from "./blast.ts";
import { coverageOf } from "./coverage.ts";
import { explanationOf, withoutPrefix } from "./explanation.ts";
import { replayFlow } from "./flow-replay.ts";
import { graphOf } from "./graph.ts";
import type { Ground } from "./ground.ts";
import { listFlows } from "./list-flows.ts";
import { Places } from "./places.ts";
import { idOf, rangeOf, textOf } from "./question.ts";
import { mayReadNamespace, type Reader } from "./readers.ts";
import { readinessOf } from "./readiness.ts";

/** What the map's answers are made of. */
export interface MapSources {
  readonly name: string;
  readonly settings: MeshSettings;
  readonly flows: FlowQueries;
  readonly ground: Ground;
  readonly policies: Latest<PolicyContent | null>;
  readonly policyFaults: Latest<readonly Fault[]>;
  readonly sidecars: () => readonly SidecarStatus[];
  /** Where the policy texts of each revision are kept. */
  readonly revisionsDirectory: string;
  /** What file names of policies begin with, and need not be shown. */
  readonly prefix: string;
  readonly clock: Clock;
}

/** Answers one question of the page, as JSON. Errors: `bad-input`, and those of the flow store. */
export type MapAnswer = (query: URLSearchParams, reader: Reader, sources: MapSources) => Promise<object>;

/** By path. */
export const MAP_ANSWERS: ReadonlyMap<string, MapAnswer> = new Map<string, MapAnswer>([
  ["/api/mesh", mesh],
  ["/api/graph", graph],
  ["/api/flows", (query, reader, sources) => listFlows(query, reader, { ...sources, ...known(sources) })],
  ["/api/explanation", explanation],
  ["/api/blast-radius", blastRadius],
  ["/api/coverage", coverage],
  ["/api/readiness", readiness],
]);

function known({ ground }: MapSources) {
  const workloads = ground.workloads();
  return { workloads, places: new Places(workloads) };
}

async function mesh(_query: URLSearchParams, reader: Reader, sources: MapSources): Promise<MapMesh> {
  const { settings, policies, policyFaults, prefix } = sources;
  const content = policies.get();
  const seen = sources.ground.workloads().filter(({ namespace }) => mayReadNamespace(reader, namespace));
  const connected = connectedOf(sources);
  return {
    name: sources.name,
    trustDomain: settings.trustDomain,
    enforcement: settings.enforcement,
    defaultAction: settings.defaultAction,
    revision: content?.revision ?? null,
    policies: content?.documents.length ?? 0,
    // A fault names files and fields of whichever namespace.
    faults:
      reader.namespaces === "all" ? policyFaults.get().map((fault) => withoutPrefix(formatFault(fault), prefix)) : [],
    workloads: seen.length,
    connectedSidecars: seen.filter(({ principal }) => connected.has(principal)).length,
    span: await sources.flows.span(),
    nowMs: sources.clock.wallMs(),
    reads: reader.namespaces === "all" ? "all" : [...reader.namespaces].toSorted(),
  };
}

async function graph(query: URLSearchParams, reader: Reader, sources: MapSources): Promise<MapGraph> {
  const { flows, clock, ground } = sources;
  const [answer, span] = await Promise.all([
    flows.edges({ ...rangeOf(query), namespaces: reader.namespaces }),
    flows.span(),
  ]);
  const times = { nowMs: clock.wallMs(), sinceMs: span?.fromMs ?? null };
  return graphOf(answer, { workloads: ground.workloads(), connected: connectedOf(sources), ...times, reader });
}

async function explanation(query: URLSearchParams, reader: Reader, sources: MapSources): Promise<MapExplanation> {
  const records = await sources.flows.flow(idOf(query), reader.namespaces);
  const flow = records.find(({ reporter }) => reporter === "destination") ?? records[0];
  if (flow === undefined) throw new CardeaError("bad-input", "no such flow, or none that you may see");
  const places = new Places(sources.ground.workloads());
  const replay = mayReadNamespace(reader, flow.destination.namespace)
    ? await replayFlow(flow, { revisionsDirectory: sources.revisionsDirectory, meshFile: null })
    : ({
        at: "impossible",
        why: `its policies are for readers of ${flow.destination.namespace ?? "all"} to see`,
      } as const);
  return explanationOf(flow, replay, { places, reader, prefix: sources.prefix });
}

async function blastRadius(query: URLSearchParams, reader: Reader, sources: MapSources): Promise<MapBlast> {
  const name = textOf(query, "workload");
  const workloads = sources.ground.workloads();
  const workload = workloads.find((each) => each.name === name && mayReadNamespace(reader, each.namespace));
  if (workload === undefined)
    throw new CardeaError("bad-input", "no such workload in the registry, or none that you may see");
  return blastOf(workload, await sources.ground.reach(sources.settings), { workloads, reader });
}

async function coverage(query: URLSearchParams, reader: Reader, sources: MapSources): Promise<MapCoverage> {
  const { namespaces } = reader;
  const limit = FLOW_LIMITS.flowDecisionsMax;
  const answer = await sources.flows.decisions({ ...rangeOf(query), namespaces, limit });
  const documents = sources.policies.get()?.documents ?? [];
  return coverageOf(answer, { documents, places: known(sources).places, prefix: sources.prefix, reader });
}

async function readiness(query: URLSearchParams, reader: Reader, sources: MapSources): Promise<MapReadiness> {
  const { edges, fromMs, toMs } = await graph(query, reader, sources);
  const { settings, ground } = sources;
  const reach = await ground.reach({ ...settings, defaultAction: "DENY" });
  const authentication = sources.policies.get()?.authentication ?? [];
  return readinessOf({ fromMs, toMs, edges, workloads: ground.workloads(), authentication, settings, reach, reader });
}

function connectedOf({ sidecars }: MapSources): ReadonlySet<string> {
  return new Set(sidecars().flatMap(({ spiffeId, connected }) => (connected ? [spiffeId] : [])));
}
