import { LIMITS } from "../core/limits.ts";
import type { MetricFamily, MetricSource } from "./metric-source.ts";
import { formatLabels, formatSample } from "./sample-text.ts";
import { UNKNOWN } from "./flow-labels.ts";
import { METRIC_TABLE, type MetricName, OVERFLOW_LABEL } from "./metric-table.ts";
import { SeriesBlock } from "./series-block.ts";

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

const NAMES = [
  "cardea_outlier_ejections_total",
  "cardea_outlier_ejections_active",
  "cardea_retries_total",
  "cardea_circuit_breaks_total",
] as const satisfies readonly MetricName[];
type Name = (typeof NAMES)[number];

/** None of these is counted on the way of a request that goes well, so the labels' text is made for each. */
export class TrafficMetrics implements TrafficCounts, MetricSource {
  readonly #blocks: Readonly<Record<Name, SeriesBlock>>;

  constructor(seriesMax: number = LIMITS.metricSeriesMax) {
    const blocks = NAMES.map((name) => [name, new SeriesBlock(1, seriesMax)] as const);
    this.#blocks = Object.fromEntries(blocks) as Record<Name, SeriesBlock>;
  }

  /** Events that were counted under unknown services. */
  get overflows(): number {
    const counters = NAMES.filter((name) => METRIC_TABLE[name].type === "counter");
    return counters.reduce((sum, name) => sum + this.#blocks[name].sumBeyondLimit(0), 0);
  }

  /** Label sets that are counted under now. */
  get size(): number {
    return NAMES.reduce((sum, name) => sum + this.#blocks[name].size, 0);
  }

  ejected(service: string, reason: string): void {
    this.#add("cardea_outlier_ejections_total", [service, reason]);
    this.#add("cardea_outlier_ejections_active", [service]);
  }

  returned(service: string): void {
    const name = "cardea_outlier_ejections_active";
    const block = this.#blocks[name];
    const offset = block.find(ownLabels(name, [service]), () => overflowLabels(name, [service]));
    block.values[offset]!--;
  }

  retried(service: string): void {
    this.#add("cardea_retries_total", [service]);
  }

  overflowed(service: string, limit: string): void {
    this.#add("cardea_circuit_breaks_total", [service, limit]);
  }

  *families(): Generator<MetricFamily> {
    for (const name of NAMES) yield { name, samples: this.#samples(name) };
  }

  told(nowMs: number): void {
    for (const name of NAMES) {
      const isGauge = METRIC_TABLE[name].type === "gauge";
      this.#blocks[name].forgetIdle({
        nowMs,
        idleMs: LIMITS.metricSeriesIdleMs,
        movementOf: (values, offset) => values[offset]!,
        isHeld: (values, offset) => isGauge && values[offset] !== 0,
      });
    }
  }

  #add(name: Name, values: readonly string[]): void {
    const block = this.#blocks[name];
    const offset = block.intern(ownLabels(name, values), () => overflowLabels(name, values));
    block.values[offset]!++;
  }

  *#samples(name: Name): Generator<string> {
    const block = this.#blocks[name];
    for (const [labels, offset] of block.entries()) yield formatSample(name, labels, block.values[offset]!);
  }
}

function ownLabels(name: Name, values: readonly string[]): string {
  return formatLabels(METRIC_TABLE[name].labels, values);
}

/** The service is the first of each one's labels, and the others are words of ours. */
function overflowLabels(name: Name, [, ...rest]: readonly string[]): string {
  return formatLabels([...METRIC_TABLE[name].labels, OVERFLOW_LABEL], [UNKNOWN, ...rest, "true"]);
}
