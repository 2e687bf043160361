import type { FlowCollectorConfig, ProxyConfig } from "../config/proxy-config.ts";
import { FLOW_LIMITS } from "../core/flow-limits.ts";
import { openSpillFile } from "../io/spill-file.ts";
import { openCollectorCalls, type CollectorCallsOptions } from "../proxy/flow-export/collector-calls.ts";
import { FlowExporter, type FlowExporterOptions } from "../proxy/flow-export/exporter.ts";
import { Spill } from "../proxy/flow-export/spill.ts";

export interface SidecarFlowsOptions
  extends Omit<CollectorCallsOptions, "control">,
    Pick<FlowExporterOptions, "random" | "logger" | "version"> {
  readonly config: ProxyConfig;
}

/** Flow records out of a sidecar to the collector. Loaded where there is one. */
export async function openSidecarFlows(to: FlowCollectorConfig, options: SidecarFlowsOptions): Promise<FlowExporter> {
  const { config, logger } = options;
  const calls = openCollectorCalls({ ...options, control: { address: to.address, spiffeId: config.control.spiffeId } });
  return new FlowExporter({
    ...options,
    calls,
    sampleOneIn: to.sampleOneIn,
    spill: await openSpill(to.spillFile, logger),
    resource: resourceOf(config),
  });
}

/** Without it denials have memory alone: that is no reason not to run. */
async function openSpill(file: string | null, logger: FlowExporterOptions["logger"]): Promise<Spill | null> {
  if (file === null) return null;
  try {
    return new Spill(await openSpillFile(file, FLOW_LIMITS.flowSpillBytesMax));
  } catch (thrown) {
    logger.log("error", "flow-spill", { file, error: thrown instanceof Error ? thrown.message : String(thrown) });
    return null;
  }
}

/** Semantic conventions of OpenTelemetry: what made the records. */
export function resourceOf({ name, namespace, labels, trustDomain }: ProxyConfig): Readonly<Record<string, string>> {
  const service =
    labels["service.istio.io/canonical-name"] ?? labels["app.kubernetes.io/name"] ?? labels["app"] ?? name;
  return {
    "service.name": service,
    "service.namespace": namespace,
    "service.instance.id": `${trustDomain}/${namespace}/${name}`,
  };
}
