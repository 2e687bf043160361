import type { MapFlows } from "../../api/map-messages.ts";
import type { FlowRecord } from "../../observe/flow.ts";
import type { EdgeEnd, FlowFilter, FlowQueries } from "../flows/query.ts";
import { mapFlow } from "./flow-page.ts";
import { endsOf } from "./graph.ts";
import type { GroundWorkload } from "./ground.ts";
import { NOBODY, type Places } from "./places.ts";
import { limitOf, numberOf, rangeOf, textOf, verdictsOf } from "./question.ts";
import type { Reader } from "./readers.ts";

export interface FlowSources {
  readonly flows: Pick<FlowQueries, "flows">;
  readonly workloads: readonly GroundWorkload[];
  readonly places: Places;
}

/** Pages of the store that one answer looks through; then it is short, and goes on by its cursor. */
const PAGES_MAX = 8;

/** Newest first, twice the limit at the most. An exchange is listed once: by the called side, or by the caller's where it came no further. */
export async function listFlows(query: URLSearchParams, reader: Reader, sources: FlowSources): Promise<MapFlows> {
  const [limit, filter, takes] = [limitOf(query), filterOf(query, sources), takerOf(query, sources)];
  const found: FlowRecord[] = [];
  let cursor = textOf(query, "cursor");
  for (let page = 0; page < PAGES_MAX && found.length < limit; page++) {
    const answer = await sources.flows.flows({
      filter,
      namespaces: reader.namespaces,
      limit,
      ...(cursor === null ? {} : { cursor }),
    });
    found.push(...answer.flows.filter(takes));
    ({ cursor } = answer);
    if (cursor === null) break;
  }
  return { flows: found.map((flow) => mapFlow(flow, sources.places, reader)), cursor };
}

/** What the store can look up of it; the rest is sieved here. */
function filterOf(query: URLSearchParams, { workloads }: FlowSources): FlowFilter {
  const [source, destination, workload] = endsIn(query);
  const endOf = (id: string): Partial<EdgeEnd> => {
    const principal = workloads.find(({ name }) => name === id)?.principal;
    // A called sidecar knows its caller by identity.
    if (principal !== undefined) return { principal };
    return id.startsWith("/") ? {} : { namespace: id.slice(0, id.indexOf("/")) };
  };
  const namespace = destination?.startsWith("/") === false ? destination.slice(0, destination.indexOf("/")) : null;
  const principal = workloads.find(({ name }) => name === workload)?.principal;
  return {
    ...rangeOf(query),
    verdicts: verdictsOf(query),
    ...(source == null ? {} : { source: source === NOBODY ? { principal: null } : endOf(source) }),
    ...(namespace === null ? {} : { destination: { namespace } }),
    ...(workload == null || workload.startsWith("/")
      ? {}
      : { names: principal === undefined ? [workload] : [workload, principal] }),
  };
}

function endsIn(query: URLSearchParams): readonly (string | null)[] {
  return ["source", "destination", "workload"].map((name) => textOf(query, name));
}

function takerOf(query: URLSearchParams, { places }: FlowSources): (flow: FlowRecord) => boolean {
  const [source, destination, workload] = endsIn(query);
  const [port, method, path, reason] = [
    numberOf(query, "port"),
    textOf(query, "method"),
    textOf(query, "path"),
    textOf(query, "reason"),
  ];
  return (flow) => {
    if (flow.reporter === "source" && isToldTwice(flow)) return false;
    const { from, to } = endsOf(flow, places);
    return (
      (source == null || source === from) &&
      (destination == null || destination === to) &&
      (workload == null || workload === from || workload === to) &&
      (port === null || port === flow.destination.port) &&
      (method === null || method === flow.method) &&
      (reason === null || reason === flow.reason) &&
      (path === null || (flow.path ?? "").includes(path))
    );
  };
}

/** The caller's sidecar had a connection to another sidecar: that one has told of it as well. */
function isToldTwice({ tls }: FlowRecord): boolean {
  return tls.version !== null;
}
