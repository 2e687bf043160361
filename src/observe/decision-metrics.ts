import type { MetricFamily, MetricSource } from "./metric-source.ts";
import { formatLabels, formatSample } from "./sample-text.ts";
import { type FlowReason, type FlowRecord, REPORTERS, VERDICTS } from "./flow.ts";
import { METRIC_TABLE } from "./metric-table.ts";

const NAME = "cardea_decisions_total";

/** What cardea_decisions_total counts. Its labels are words of ours alone, so their number is bounded by itself. */
export class DecisionMetrics implements MetricSource {
  /** By reason: a count for each pair of reporter and verdict. */
  readonly #counts = new Map<FlowReason, Float64Array>();

  record(flow: FlowRecord): void {
    let counts = this.#counts.get(flow.reason);
    if (counts === undefined) {
      counts = new Float64Array(REPORTERS.length * VERDICTS.length);
      this.#counts.set(flow.reason, counts);
    }
    counts[REPORTERS.indexOf(flow.reporter) * VERDICTS.length + VERDICTS.indexOf(flow.verdict)]!++;
  }

  *families(): Generator<MetricFamily> {
    yield { name: NAME, samples: this.#samples() };
  }

  *#samples(): Generator<string> {
    const names = METRIC_TABLE[NAME].labels;
    for (const [reason, counts] of this.#counts) {
      for (const [index, count] of counts.entries()) {
        const reporter = REPORTERS[Math.floor(index / VERDICTS.length)]!;
        const verdict = VERDICTS[index % VERDICTS.length]!;
        if (count > 0) yield formatSample(NAME, formatLabels(names, [reporter, verdict, reason]), count);
      }
    }
  }
}
