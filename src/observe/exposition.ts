import { METRIC_TABLE, type MetricName } from "./metric-table.ts";

/** What the metrics port answers with: Prometheus' text format 0.0.4. */
export const EXPOSITION_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** One metric with its values at this moment. */
export interface MetricFamily {
  readonly name: MetricName;
  /** Finished sample lines without their line feeds; made while they are read. */
  readonly samples: Iterable<string>;
}

/** Something that has metrics: the data path's counters, the gauges of a process. */
export interface MetricSource {
  families(): Iterable<MetricFamily>;
}

/** Samples between two turns of the event loop: some 100 µs, so that a scrape never holds up traffic. */
const SAMPLES_PER_TURN = 250;

/** The whole exposition in pieces. Counters may move on between two pieces; each line is right when it is written. */
export async function* formatExposition(sources: readonly MetricSource[]): AsyncGenerator<string> {
  let piece = "";
  let samples = 0;
  for (const line of exposedLines(sources)) {
    piece += `${line}\n`;
    if (++samples % SAMPLES_PER_TURN !== 0) continue;
    yield piece;
    piece = "";
    await nextTurn();
  }
  if (piece !== "") yield piece;
}

function* exposedLines(sources: readonly MetricSource[]): Generator<string> {
  for (const source of sources) {
    for (const { name, samples } of source.families()) {
      let isTitled = false;
      for (const sample of samples) {
        // A family without a sample is left out: its title alone says nothing.
        if (!isTitled) yield `# HELP ${name} ${METRIC_TABLE[name].means}\n# TYPE ${name} ${METRIC_TABLE[name].type}`;
        isTitled = true;
        yield sample;
      }
    }
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** `name{labels} value`; labels as `formatLabels` made them. */
export function formatSample(name: string, labels: string, value: number): string {
  return `${name}${labels === "" ? "" : `{${labels}}`} ${formatValue(value)}`;
}

/** `a="x",b="y"`, escaped as the text format wants it, and free of what could act on a terminal. */
export function formatLabels(names: readonly string[], values: readonly string[]): string {
  return names.map((name, index) => `${name}="${escapeLabel(values[index]!)}"`).join(",");
}

/** A label value is part of a series' name for as long as the process lives: longer ones are cut. */
const LABEL_LENGTH_MAX = 256;

function escapeLabel(value: string): string {
  const bounded = value.length > LABEL_LENGTH_MAX ? `${value.slice(0, LABEL_LENGTH_MAX)}…` : value;
  return bounded
    .replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "\ufffd")
    .replaceAll("\\", "\\\\")
    .replaceAll('"', '\\"');
}

function formatValue(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  return value === Number.NEGATIVE_INFINITY ? "-Inf" : String(value);
}
