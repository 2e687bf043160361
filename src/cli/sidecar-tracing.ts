import type { ProxyConfig, TracingConfig } from "../config/proxy-config.ts";
import type { Latest } from "../core/latest.ts";
import { spiffeIdFor } from "../core/spiffe-id.ts";
import type { PolicySet } from "../proxy/discovery/policy-sinks.ts";
import { type CollectorCallsOptions, openCollectorCalls } from "../proxy/flow-export/collector-calls.ts";
import { openTracing, type OpenTracing } from "../proxy/spans/open-tracing.ts";
import { SpanExporter, type SpanExporterOptions } from "../proxy/spans/span-exporter.ts";
import { resourceOf } from "./sidecar-flows.ts";

export interface SidecarTracingOptions
  extends Omit<CollectorCallsOptions, "control">,
    Pick<SpanExporterOptions, "random" | "logger" | "version"> {
  readonly config: ProxyConfig;
  /** Whose documents may say something of traces. */
  readonly policies: Latest<PolicySet | null>;
}

export interface SidecarTracing {
  readonly tracing: OpenTracing;
  readonly exporter: SpanExporter;
}

/** Spans out of a sidecar to the control plane, which passes them on. Loaded where a mesh has tracing. */
export function openSidecarTracing(settings: TracingConfig, options: SidecarTracingOptions): SidecarTracing {
  const { config } = options;
  const { control, trustDomain, namespace, serviceAccount } = config;
  const calls = openCollectorCalls({ ...options, control });
  const principal = spiffeIdFor(trustDomain, namespace, serviceAccount);
  // By which the control plane knows that spans are their sender's own.
  const resource = { ...resourceOf(config), "cardea.principal": principal };
  const exporter = new SpanExporter({ ...options, calls, resource });
  const tracing = openTracing({ ...options, ...settings, sink: exporter });
  const { policies } = options;
  policies.subscribe(() => tracing.choose(policies.get()?.tracing ?? null));
  return { tracing, exporter };
}
