import { openTracing, type OpenTracing, type TracingOptions } from "../../src/proxy/spans/open-tracing.ts";
import { type ReadSpan, readSpan } from "./read-spans.ts";
import type { TestMeshOptions } from "./test-mesh.ts";
import { openTrafficMesh, type TrafficMesh } from "./traffic-mesh.ts";
import { seededRandom } from "./traffic.ts";

/** A mesh in memory whose sidecars make spans. */
export interface TracedMesh extends TrafficMesh {
  /** What was reported, in its order, by the sidecar's name. */
  readonly spans: readonly (ReadSpan & { readonly by: string })[];
  readonly tracing: ReadonlyMap<string, OpenTracing>;
  /** Requests that were beyond the bound, of all sidecars. */
  skipped(): number;
  /** The one span of this kind by this sidecar. */
  span(by: string, kind: ReadSpan["kind"]): ReadSpan;
}

interface TracedOptions extends Partial<TestMeshOptions> {
  readonly settings?: Partial<Pick<TracingOptions, "samplingPercentage" | "requestsPerSecond">>;
}

export async function openTracedMesh({ settings, ...options }: TracedOptions = {}): Promise<TracedMesh> {
  const spans: (ReadSpan & { readonly by: string })[] = [];
  const tracing = new Map<string, OpenTracing>();
  let skipped = 0;
  const mesh = await openTrafficMesh({
    ...options,
    tracing: (name, clock) => {
      const sink = {
        add: ({ bytes, length }: { readonly bytes: Buffer; readonly length: number }) =>
          void spans.push({ ...readSpan(bytes.subarray(0, length)), by: name }),
        skipped: () => void skipped++,
      };
      const bounds = { samplingPercentage: 100, requestsPerSecond: 1_000, ...settings };
      const opened = openTracing({ ...bounds, sink, clock, random: seededRandom(tracing.size + 2) });
      tracing.set(name, opened);
      return opened;
    },
  });
  return {
    ...mesh,
    spans,
    tracing,
    skipped: () => skipped,
    span(by, kind) {
      const found = spans.filter((span) => span.by === by && span.kind === kind);
      if (found.length !== 1) throw new Error(`${found.length} ${kind} spans of ${by}`);
      return found[0]!;
    },
  };
}
