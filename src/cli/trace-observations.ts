import { spiffeIdFor } from "../core/spiffe-id.ts";
import { readTextMaybeZipped } from "../io/zipped-text.ts";
import { callsIn, type TraceCall } from "../observe/traces/calls.ts";
import { readTraces } from "../observe/traces/read-traces.ts";
import type { SpanService } from "../observe/traces/span.ts";
import type { KnownWorkload } from "../policy/analysis/known-workload.ts";
import type { Observation } from "../policy/analysis/suggest.ts";
import type { MeshSettings } from "../policy/mesh-settings.ts";
import { normalizePath } from "../wire/path.ts";

/** What traces tell of calls, and what they leave out. */
export interface TraceObservations {
  readonly observations: readonly Observation[];
  /** Spans without a parent in the file: who called is not known. */
  readonly begun: number;
  /** Names of services that are none of the known workloads; calls from and to them are left out. */
  readonly unknown: readonly string[];
  /** Calls whose path a sidecar would refuse. */
  readonly refused: number;
}

/** How services of traces are found among workloads. */
export interface TraceGround {
  readonly settings: MeshSettings;
  /** Null: each service is a workload of its own name, with an account and the label `app` of that name. */
  readonly workloads: readonly KnownWorkload[] | null;
  /** Of services whose spans name none. */
  readonly namespace: string;
}

const TRACE_BYTES_MAX = 512 * 1024 * 1024;

/** Errors: `bad-input` for a file that cannot be read, or is no file of traces. */
export async function observeTraces(files: readonly string[], ground: TraceGround): Promise<TraceObservations> {
  const spans = [];
  for (const file of files)
    for (const span of readTraces(await readTextMaybeZipped(file, TRACE_BYTES_MAX), file)) spans.push(span);
  const { calls, begun } = callsIn(spans);
  const unknown = new Set<string>();
  let refused = 0;
  const observations = calls.flatMap((call): readonly Observation[] => {
    const [caller, called] = [call.caller, call.called].map((service) => workloadOf(service, ground, unknown));
    if (caller === null || caller === undefined || called === null || called === undefined) return [];
    const request = requestOf(call, ground.settings);
    if (request === "refused") {
      refused += 1;
      return [];
    }
    const { namespace, labels } = called;
    const times = { firstMs: call.startMs, lastMs: call.startMs };
    return [
      {
        principal: caller.principal,
        workload: { namespace, labels },
        port: portOf(call, called),
        request,
        count: 1,
        ...times,
      },
    ];
  });
  return { observations, begun, unknown: [...unknown].toSorted(), refused };
}

type TracedWorkload = Pick<KnownWorkload, "namespace" | "labels" | "principal" | "ports">;

function workloadOf(service: SpanService, ground: TraceGround, unknown: Set<string>): TracedWorkload | null {
  const { workloads, settings } = ground;
  const namespace = service.namespace ?? ground.namespace;
  if (workloads === null) {
    const principal = spiffeIdFor(settings.trustDomain, namespace, service.name);
    return { namespace, labels: { app: service.name }, principal, ports: null };
  }
  const found = workloads.find(({ name }) => name === `${namespace}/${service.name}`) ?? onlyNamed(service, workloads);
  if (found === null) unknown.add(service.name);
  return found;
}

/** Where the span names no namespace, a name that one workload alone has. */
function onlyNamed({ name, namespace }: SpanService, workloads: readonly KnownWorkload[]): KnownWorkload | null {
  const named = namespace === null ? workloads.filter((each) => each.name.endsWith(`/${name}`)) : [];
  return named.length === 1 ? named[0]! : null;
}

/** A port that the workload does not have is its Service's; one that has a single port was called there. */
function portOf({ port }: TraceCall, { ports }: TracedWorkload): number | null {
  if (ports === null) return port;
  if (port !== null && ports.some((each) => each.port === port)) return port;
  return ports.length === 1 ? ports[0]!.port : null;
}

/** As policy sees it: with the path normalised. */
function requestOf({ request }: TraceCall, settings: MeshSettings): Observation["request"] | "refused" {
  if (request === null) return null;
  const path = normalizePath(request.path, settings.pathNormalization);
  return path.ok ? { method: request.method, path: path.pathForMatch } : "refused";
}
