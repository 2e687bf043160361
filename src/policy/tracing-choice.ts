import { telemetryItems, type TelemetryDocument } from "./access-log.ts";
import type { Workload } from "./facts.ts";
import type { TracingItem } from "./telemetry.ts";

/** What documents say of a workload's traces at one side; what is null, is as the mesh's settings say. */
export interface TracingSideChoice {
  readonly samplingPercentage: number | null;
  readonly isReporting: boolean;
  readonly tags: readonly (readonly [name: string, value: string])[];
}

export interface TracingChoice {
  readonly client: TracingSideChoice;
  readonly server: TracingSideChoice;
}

/** The nearest that says something of a matter is the one that counts in it, as with access logs; tags are one matter. */
export function resolveTracing(
  documents: readonly TelemetryDocument[],
  workload: Workload,
  rootNamespace: string,
): TracingChoice {
  const items = telemetryItems(documents, workload, rootNamespace, ({ tracing }) => tracing);
  return { client: sideOf("CLIENT", items), server: sideOf("SERVER", items) };
}

function sideOf(mode: "CLIENT" | "SERVER", all: readonly TracingItem[]): TracingSideChoice {
  const items = all.filter((item) => item.mode === mode || item.mode === "CLIENT_AND_SERVER");
  return {
    samplingPercentage: items.findLast((item) => item.samplingPercentage !== null)?.samplingPercentage ?? null,
    isReporting: items.findLast((item) => item.isReportingDisabled !== null)?.isReportingDisabled !== true,
    tags: [...(items.findLast((item) => item.tags !== null)?.tags ?? [])],
  };
}
