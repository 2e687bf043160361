import type { MetricObjectWithValues, MetricValue, Registry } from "prom-client";
import type { MetricFamily, MetricSource, MetricTitle } from "../observe/metric-source.ts";
import { formatLabels, formatSample } from "../observe/sample-text.ts";
import type { ExpositionFormat } from "../observe/exposition-format.ts";
import { formatBound } from "../observe/histogram.ts";

/** What is in a registry of prom-client's at this moment, for our own writing of both formats. */
export async function registrySource(registry: Registry): Promise<MetricSource> {
  const metrics: RegistryMetric[] = await registry.getMetricsAsJSON();
  return {
    *families(format) {
      for (const metric of metrics) yield familyOf(metric, format);
    },
  };
}

type RegistryMetric = MetricObjectWithValues<MetricValue<string>>;

function familyOf(metric: RegistryMetric, format: ExpositionFormat): MetricFamily {
  const { name, help } = metric;
  const samples = metric.values.map((value) => sampleOf(name, value, format));
  return { name, about: { type: typeOf(metric), means: help }, samples };
}

function sampleOf(name: string, { labels, value, metricName }: RegistryValue, format: ExpositionFormat): string {
  const entries = Object.entries(labels).filter(([, text]) => text !== undefined);
  const names = entries.map(([label]) => label);
  const values = entries.map(([label, text]) =>
    label === "le" && typeof text === "number" ? formatBound(text, format) : String(text),
  );
  return formatSample(metricName ?? name, formatLabels(names, values), value);
}

/** A histogram's samples have names of their own. */
type RegistryValue = MetricValue<string> & { readonly metricName?: string };

/**
 * Istio's counters have names that Prometheus keeps for other types (no _total; _count), and `promtool check metrics`
 * objects; OpenMetrics has no such counters at all. The names are what boards look for, so the type is not told.
 */
function typeOf({ name, type }: RegistryMetric): MetricTitle["type"] {
  const word = String(type);
  if (word === "counter") return name.endsWith("_total") ? "counter" : "unknown";
  return word === "gauge" || word === "histogram" ? word : "unknown";
}
