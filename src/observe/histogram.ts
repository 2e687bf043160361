import type { ExpositionFormat } from "./exposition-format.ts";
import { formatSample } from "./sample-text.ts";
import { BUCKETS } from "./metric-table.ts";

/** The numbers of one histogram: its sum, then a count for each bucket and one for what lies beyond the last bound. */
export const HISTOGRAM_STRIDE = 1 + BUCKETS.length + 1;

/** Adds one observation to the histogram at `at`; returns the bucket. */
export function observe(values: Float64Array, at: number, value: number, bounds = BUCKETS): number {
  values[at]! += value;
  let bucket = 0;
  while (bucket < bounds.length && value > bounds[bucket]!) bucket++;
  values[at + 1 + bucket]!++;
  return bucket;
}

/** One histogram's place, and what its series is called. */
export interface HistogramPlace {
  readonly name: string;
  readonly labels: string;
  readonly values: Float64Array;
  readonly at: number;
  /** BUCKETS unless said. */
  readonly bounds?: readonly number[];
  /** Only where there are some, and the format has a place for them. */
  readonly exemplars?: Exemplars | undefined;
}

export function* histogramSamples(place: HistogramPlace, format: ExpositionFormat): Generator<string> {
  const { name, labels, values, at, exemplars, bounds = BUCKETS } = place;
  const before = labels === "" ? `${name}_bucket{` : `${name}_bucket{${labels},`;
  const marks = marksOf(bounds, format);
  // The buckets are read together, so that count and buckets agree although the scrape goes on in slices.
  const counts = values.slice(at + 1, at + bounds.length + 2);
  const sum = values[at]!;
  let count = 0;
  for (let bucket = 0; bucket < counts.length; bucket++) {
    count += counts[bucket]!;
    const sample = `${before}${marks[bucket]!}${count}`;
    yield exemplars === undefined ? sample : sample + formatExemplar(exemplars, bucket);
  }
  yield formatSample(`${name}_sum`, labels, sum);
  yield formatSample(`${name}_count`, labels, count);
}

/**
 * A bucket's bound. OpenMetrics wants one spelling of a number, always with its point ("Canonical Numbers"); the text
 * format keeps Envoy's, so that our buckets and those of Istio's own sidecars are the same series.
 */
export function formatBound(bound: number | undefined, format: ExpositionFormat): string {
  if (bound === undefined) return "+Inf";
  return format === "openmetrics" && Number.isInteger(bound) ? `${bound}.0` : String(bound);
}

/** For each bucket what stands behind its other labels: made once, since a scrape has a hundred thousand of them. */
function marksOf(bounds: readonly number[], format: ExpositionFormat): readonly string[] {
  const known = MARKS[format].get(bounds);
  if (known !== undefined) return known;
  const made = [...bounds, undefined].map((bound) => `le="${formatBound(bound, format)}"} `);
  MARKS[format].set(bounds, made);
  return made;
}

const MARKS: Readonly<Record<ExpositionFormat, Map<readonly number[], readonly string[]>>> = {
  text: new Map(),
  openmetrics: new Map(),
};

/** One traced request for each bucket of a histogram, beside its numbers. */
export interface Exemplars {
  readonly traceIds: (string | null)[];
  readonly values: Float64Array;
  readonly timesMs: Float64Array;
}

/** An exemplar stays for so long: a scrape needs no more than one, and most requests then only look at the time. */
const EXEMPLAR_MS_MIN = 5_000;

export function newExemplars(): Exemplars {
  const length = BUCKETS.length + 1;
  return {
    traceIds: Array.from({ length }, () => null),
    values: new Float64Array(length),
    timesMs: new Float64Array(length),
  };
}

/** Takes the request as its bucket's exemplar, unless the bucket has a fresh one. `timeMs` is the wall clock's. */
export function keepExemplar(
  exemplars: Exemplars,
  bucket: number,
  { traceId, value, timeMs }: { readonly traceId: string; readonly value: number; readonly timeMs: number },
): void {
  const age = timeMs - exemplars.timesMs[bucket]!;
  // A clock that was set back must not keep an old one for good.
  if (exemplars.traceIds[bucket] !== null && age >= 0 && age < EXEMPLAR_MS_MIN) return;
  exemplars.traceIds[bucket] = copyOf(traceId);
  exemplars.values[bucket] = value;
  exemplars.timesMs[bucket] = timeMs;
}

/** What OpenMetrics has behind a bucket's value: ` # {trace_id="…"} value time`; nothing where there is none. */
function formatExemplar({ traceIds, values, timesMs }: Exemplars, bucket: number): string {
  const traceId = traceIds[bucket]!;
  if (traceId === null) return "";
  return ` # {trace_id="${traceId}"} ${values[bucket]!} ${(timesMs[bucket]! / 1_000).toFixed(3)}`;
}

/** Without ties to the text that it was cut from: else a few digits would keep a whole request head in memory. */
function copyOf(traceId: string): string {
  return Buffer.from(traceId, "latin1").toString("latin1");
}
