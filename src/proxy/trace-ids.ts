import { HexIds } from "../core/hex-ids.ts";
import type { Random } from "../core/ports.ts";
import type { TraceIds } from "../wire/traceparent.ts";

/** Ids of new traces and spans. */
export function createTraceIds(random: Random): TraceIds {
  const ids = new HexIds(random);
  return {
    traceId: () => neverZero(ids.next(32)),
    spanId: () => neverZero(ids.next(16)),
  };
}

/** All zero means "none" in a traceparent, however unlikely it is to be drawn. */
function neverZero(drawn: string): string {
  for (let i = 0; i < drawn.length; i++) if (drawn.charCodeAt(i) !== DIGIT_ZERO) return drawn;
  return `${drawn.slice(1)}1`;
}

const DIGIT_ZERO = 0x30;
