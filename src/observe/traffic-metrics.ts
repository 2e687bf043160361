import { LIMITS } from "../core/limits.ts";
import { formatLabels, formatSample, type MetricFamily, type MetricSource } from "./exposition.ts";
import { METRIC_TABLE } from "./metric-table.ts";

/** What traffic rules and retries do on the outbound side; `service` is a full host name. */
export interface TrafficCounts {
  /** Outlier detection leaves a workload out. */
  ejected(service: string, reason: string): void;
  /** It gets requests again. */
  returned(service: string): void;
  /** A request is sent once more. */
  retried(service: string): void;
  /** A request or a retry was refused by a bound. */
  overflowed(service: string, limit: string): void;
}

type Name =
  | "cardea_outlier_ejections_total"
  | "cardea_outlier_ejections_active"
  | "cardea_retries_total"
  | "cardea_circuit_breaks_total";

/** None of these is counted on the way of a request that goes well, so plain maps will do. */
export class TrafficMetrics implements TrafficCounts, MetricSource {
  readonly #seriesMax: number;
  readonly #series = new Map<Name, Map<string, number>>();
  overflows = 0;

  constructor(seriesMax: number = LIMITS.metricSeriesMax) {
    this.#seriesMax = seriesMax;
  }

  ejected(service: string, reason: string): void {
    this.#add("cardea_outlier_ejections_total", [service, reason], 1);
    this.#add("cardea_outlier_ejections_active", [service], 1);
  }

  returned(service: string): void {
    this.#add("cardea_outlier_ejections_active", [service], -1);
  }

  retried(service: string): void {
    this.#add("cardea_retries_total", [service], 1);
  }

  overflowed(service: string, limit: string): void {
    this.#add("cardea_circuit_breaks_total", [service, limit], 1);
  }

  *families(): Generator<MetricFamily> {
    for (const [name, series] of this.#series) {
      yield { name, samples: [...series].map(([labels, value]) => formatSample(name, labels, value)) };
    }
  }

  #add(name: Name, values: readonly string[], by: number): void {
    const labels = formatLabels(METRIC_TABLE[name].labels, values);
    let series = this.#series.get(name);
    if (series === undefined) {
      series = new Map();
      this.#series.set(name, series);
    }
    const value = series.get(labels);
    if (value !== undefined || series.size < this.#seriesMax) series.set(labels, (value ?? 0) + by);
    else this.overflows++;
  }
}
