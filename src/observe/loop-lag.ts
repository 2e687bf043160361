import type { Clock } from "../core/ports.ts";
import type { MetricFamily, MetricSource } from "./metric-source.ts";
import type { ExpositionFormat } from "./exposition-format.ts";
import { histogramSamples, observe } from "./histogram.ts";
import { LAG_BUCKETS } from "./metric-table.ts";

/** Four times a second: a process that has nothing to do should sleep. */
const SAMPLE_MS = 250;

/**
 * How late the event loop is, from now on: a timer is set again and again, and each time it is seen how long after its
 * time it was called. What holds up a timer holds up a request that comes at that moment. A histogram, so that scrapers
 * do not take it from each other, and the lags of many processes add up.
 */
export function watchLoopLag(clock: Clock): MetricSource {
  const values = new Float64Array(LAG_BUCKETS.length + 2);
  const sample = (dueMs: number): void => {
    observe(values, 0, Math.max(0, clock.monotonicMs() - dueMs) / 1_000, LAG_BUCKETS);
    wait();
  };
  const wait = (): void => {
    const dueMs = clock.monotonicMs() + SAMPLE_MS;
    clock.setTimer(SAMPLE_MS, () => sample(dueMs));
  };
  wait();
  return {
    *families(format: ExpositionFormat): Generator<MetricFamily> {
      const name = "cardea_event_loop_lag_seconds";
      yield { name, samples: histogramSamples({ name, labels: "", values, at: 0, bounds: LAG_BUCKETS }, format) };
    },
  };
}
