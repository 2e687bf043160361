import type { MetricFamily, MetricSource } from "./metric-source.ts";
import { formatLabels, formatSample } from "./sample-text.ts";
import { METRIC_TABLE, type MetricName } from "./metric-table.ts";

/** What a sidecar knows of itself at a moment; null where there is nothing yet. */
export interface SidecarFacts {
  readonly certificateNotAfterMs: number | null;
  readonly policyRevision: string | null;
  readonly policyConfirmedMs: number | null;
  readonly flowLinesDropped: number;
  /** Of the records for the collector; null where there is none. */
  readonly flowExport: ExportCounts | null;
  /** Of spans; null where none are made. */
  readonly spanExport: ExportCounts | null;
}

interface ExportCounts {
  readonly exported: number;
  /** By reason. */
  readonly dropped: Readonly<Record<string, number>>;
}

/** What any process knows of itself at a moment. */
export interface ProcessFacts {
  readonly version: string;
  readonly nodeVersion: string;
  readonly startedMs: number;
  readonly cpuSec: number;
  readonly eventLoopActiveSec: number;
  readonly residentBytes: number;
  readonly heapUsedBytes: number;
}

/** The gauges of a sidecar; `wallMs` is the clock's. */
export function sidecarGauges(readFacts: () => SidecarFacts, wallMs: () => number): MetricSource {
  return {
    *families() {
      const facts = readFacts();
      const nowMs = wallMs();
      yield one("cardea_flow_lines_dropped_total", facts.flowLinesDropped);
      if (facts.flowExport !== null)
        yield* exported(facts.flowExport, "cardea_flow_records_exported_total", "cardea_flow_records_dropped_total");
      if (facts.spanExport !== null)
        yield* exported(facts.spanExport, "cardea_spans_exported_total", "cardea_spans_dropped_total");
      if (facts.certificateNotAfterMs !== null)
        yield one("cardea_certificate_expiry_seconds", (facts.certificateNotAfterMs - nowMs) / 1_000);
      if (facts.policyRevision !== null) yield one("cardea_policy_revision_info", 1, [facts.policyRevision]);
      if (facts.policyConfirmedMs !== null)
        yield one("cardea_policy_age_seconds", (nowMs - facts.policyConfirmedMs) / 1_000);
    },
  };
}

function* exported(counts: ExportCounts, went: MetricName, lost: MetricName): Iterable<MetricFamily> {
  const { labels } = METRIC_TABLE[lost];
  yield one(went, counts.exported);
  const samples = Object.entries(counts.dropped).map(([reason, count]) =>
    formatSample(lost, formatLabels(labels, [reason]), count),
  );
  yield { name: lost, samples };
}

/** The gauges of any process. */
export function processGauges(readFacts: () => ProcessFacts): MetricSource {
  return {
    *families() {
      const facts = readFacts();
      yield one("cardea_build_info", 1, [facts.version, facts.nodeVersion]);
      yield one("istio_build", 1, ["proxy", facts.version]);
      yield one("cardea_event_loop_active_seconds_total", facts.eventLoopActiveSec);
      yield one("process_cpu_seconds_total", facts.cpuSec);
      yield one("process_resident_memory_bytes", facts.residentBytes);
      yield one("process_start_time_seconds", facts.startedMs / 1_000);
      yield one("nodejs_heap_size_used_bytes", facts.heapUsedBytes);
    },
  };
}

function one(name: MetricName, value: number, labels: readonly string[] = []): MetricFamily {
  return { name, samples: [formatSample(name, formatLabels(METRIC_TABLE[name].labels, labels), value)] };
}
