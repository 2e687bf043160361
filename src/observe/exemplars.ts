import { BUCKETS } from "./metric-table.ts";

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
export function formatExemplar({ traceIds, values, timesMs }: Exemplars, bucket: number): string {
  const traceId = traceIds[bucket]!;
  if (traceId === null) return "";
  return ` # {trace_id="${traceId}"} ${values[bucket]!} ${(timesMs[bucket]! / 1_000).toFixed(3)}`;
}

/** Without ties to the text that it was cut from: else a few digits would keep a whole request head in memory. */
function copyOf(traceId: string): string {
  return Buffer.from(traceId, "latin1").toString("latin1");
}
