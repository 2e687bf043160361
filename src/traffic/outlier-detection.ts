import { boolean, integer, object, optional, parsed, refused, withDefault, NOT_YET } from "../core/schema.ts";
import type { OutlierDetection } from "./service-traffic.ts";
import { POSITIVE_DURATION } from "../core/duration-schema.ts";

const COUNT = integer({ min: 0, max: 2 ** 31 - 1 });
const PERCENT = integer({ min: 0, max: 100 });

/** Istio's, which holds for a percentage of 0 as well: the two cannot be told apart there. */
const MAX_EJECTION_PERCENT = 10;

const FIELDS = object({
  consecutive5xxErrors: withDefault(COUNT, 5),
  consecutiveGatewayErrors: withDefault(COUNT, 0),
  consecutiveLocalOriginFailures: withDefault(COUNT, 5),
  splitExternalLocalOriginErrors: withDefault(boolean(), false),
  interval: withDefault(POSITIVE_DURATION, 10_000),
  baseEjectionTime: withDefault(POSITIVE_DURATION, 30_000),
  maxEjectionPercent: optional(PERCENT),
  minHealthPercent: withDefault(PERCENT, 0),
  consecutiveErrors: refused(
    "is no longer taken, nor does Istio heed it: write consecutive5xxErrors or consecutiveGatewayErrors",
  ),
  outlierDetectionHttpErrorCodes: refused(NOT_YET),
});

/** DestinationRule's `outlierDetection`; a block without fields switches it on with its defaults. */
export const OUTLIER_DETECTION = parsed(
  FIELDS,
  (fields): OutlierDetection => ({
    consecutive5xxErrors: fields.consecutive5xxErrors,
    consecutiveGatewayErrors: fields.consecutiveGatewayErrors,
    consecutiveLocalOriginFailures: fields.consecutiveLocalOriginFailures,
    splitExternalLocalOriginErrors: fields.splitExternalLocalOriginErrors,
    intervalMs: fields.interval,
    baseEjectionTimeMs: fields.baseEjectionTime,
    maxEjectionPercent: fields.maxEjectionPercent || MAX_EJECTION_PERCENT,
    minHealthPercent: fields.minHealthPercent,
  }),
);
