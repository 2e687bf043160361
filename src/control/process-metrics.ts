import { Counter, collectDefaultMetrics, Registry } from "prom-client";
import { CONTROL_METRIC_TABLE } from "./metric-table.ts";

let ofProcess: Registry | null = null;

/**
 * prom-client's metrics of the process, watched from the first call on. One for all: the process is one, however many
 * control planes a test opens in it.
 */
export function processRegistry(): Registry {
  ofProcess ??= openRegistry();
  return ofProcess;
}

function openRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  // Gauges by the name of counters; the same numbers stand under nodejs_active_{resources,handles,requests}, by kind.
  for (const what of ["resources", "handles", "requests"]) registry.removeSingleMetric(`nodejs_active_${what}_total`);
  registry.registerMetric(eventLoopActive());
  return registry;
}

/** As every process of ours has it; prom-client knows the loop's lag alone. */
function eventLoopActive(): Counter {
  const name = "cardea_event_loop_active_seconds_total";
  return new Counter({
    name,
    help: CONTROL_METRIC_TABLE[name].means,
    registers: [],
    collect() {
      this.reset();
      this.inc(performance.eventLoopUtilization().active / 1_000);
    },
  });
}
