import type { Random } from "../core/ports.ts";
import type { TraceIds } from "../wire/traceparent.ts";

/** Ids of new traces and spans, from the pooled randomness. */
export function createTraceIds(random: Random): TraceIds {
  return {
    traceId: () => hexOf(random, 16),
    spanId: () => hexOf(random, 8),
  };
}

/** All zero means "none" in a traceparent, however unlikely it is to be drawn. */
function hexOf(random: Random, bytes: number): string {
  const drawn = random.bytes(bytes).toString("hex");
  return /[^0]/.test(drawn) ? drawn : `${drawn.slice(1)}1`;
}
