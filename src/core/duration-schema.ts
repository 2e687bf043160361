import { parseDuration, parseGatewayDuration } from "./duration.ts";
import { parsed, string } from "./schema.ts";

/** A duration in milliseconds; 0 is one. */
export const DURATION = parsed(string(), parseDuration);

/** A duration of a millisecond at least, which is what Istio asks for nearly everywhere. */
export const POSITIVE_DURATION = parsed(DURATION, (ms) => {
  if (ms < 1) throw new Error("must be at least 1ms");
  return ms;
});

/** Gateway API's, in milliseconds. */
export const GATEWAY_DURATION = parsed(string(), parseGatewayDuration);
