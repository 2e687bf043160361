import type { ExpositionFormat } from "./exposition-format.ts";
import type { Metric, MetricName } from "./metric-table.ts";

/** One metric with its values at this moment. */
export type MetricFamily = {
  /** Finished sample lines without their line feeds; made while they are read. */
  readonly samples: Iterable<string>;
} & ({ readonly name: MetricName } | { readonly name: string; readonly about: MetricTitle });

/** What is told of a metric that is not in the table of the sidecar's. */
export interface MetricTitle {
  readonly type: Metric["type"] | "unknown";
  readonly means: string;
}

/** Something that has metrics: the data path's counters, the gauges of a process. */
export interface MetricSource {
  families(format: ExpositionFormat): Iterable<MetricFamily>;
  /** A scrape has been told everything: what has not moved for long may be forgotten now. */
  told?(nowMs: number): void;
}
