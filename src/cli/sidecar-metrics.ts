import type { AdminAnswer } from "../io/http-admin.ts";
import { readProcessFacts } from "../io/process-facts.ts";
import { formatExposition } from "../observe/exposition.ts";
import { chooseFormat, EXPOSITION_CONTENT_TYPES } from "../observe/exposition-format.ts";
import { processGauges, sidecarGauges } from "../observe/gauges.ts";
import { watchLoopLag } from "../observe/loop-lag.ts";
import type { SidecarParts } from "./sidecar-admin.ts";

/** What a sidecar's metrics port answers. */
export interface Exposition {
  /** `accept`: the request's Accept field, by which Prometheus says that it takes OpenMetrics. */
  answer(accept: string | undefined): AdminAnswer;
}

/** `confirmedMs`: when the control plane was last there to say that the policies are still these. */
export function openExposition(parts: SidecarParts, confirmedMs: () => number | null): Exposition {
  const { metrics, clock, version } = parts;
  const sidecarFacts = () => ({
    certificateNotAfterMs: parts.identity.get()?.notAfterMs ?? null,
    policyRevision: parts.discovery.policies.get()?.revision ?? null,
    policyConfirmedMs: confirmedMs(),
    flowLinesDropped: parts.lines.dropped,
    flowExport: parts.flows?.counts ?? null,
    spanExport: parts.spans?.counts ?? null,
  });
  const sources = [
    metrics,
    sidecarGauges(sidecarFacts, () => clock.wallMs()),
    processGauges(() => ({ version, ...readProcessFacts() })),
    watchLoopLag(clock),
  ];
  return {
    answer(accept) {
      const format = chooseFormat(accept);
      const body = formatExposition(sources, { format, nowMs: () => clock.monotonicMs() });
      return { status: 200, contentType: EXPOSITION_CONTENT_TYPES[format], body };
    },
  };
}
