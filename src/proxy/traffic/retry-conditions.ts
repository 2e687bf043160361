import type { ErrorCode } from "../../core/errors.ts";
import type { RetryCondition, RetryPolicy } from "../../traffic/service-traffic.ts";
import type { TryFailure } from "../tries.ts";

type Reasons = Pick<RetryPolicy, "retryOn" | "retriableStatuses">;

/** Whether a rule asks for another try of what got no answer. envoyproxy.io, config/http/http_filters/router_filter. */
export function asksAfterFailure({ retryOn }: Reasons, { error, fate }: Pick<TryFailure, "error" | "fate">): boolean {
  const { code } = error;
  if (code === "upstream-connect-failed" || code === "upstream-connect-timeout")
    return has(retryOn, ["connect-failure", "reset-before-request", ...RESET]);
  // A denial, or a bound of ours: another try would be one more of the same.
  if (!RESETS.has(code)) return false;
  if (fate === "unprocessed" && has(retryOn, ["refused-stream", "reset-before-request"])) return true;
  return has(retryOn, RESET);
}

/** Whether a rule asks for another try after this answer. gRPC's conditions go by a status in the head alone. */
export function asksAfterAnswer({ retryOn, retriableStatuses }: Reasons, status: number, grpc: number | null): boolean {
  if (grpc !== null && GRPC_CONDITIONS[grpc] !== undefined && retryOn.has(GRPC_CONDITIONS[grpc])) return true;
  if (status >= 500 && retryOn.has("5xx")) return true;
  if (status >= 502 && status <= 504 && retryOn.has("gateway-error")) return true;
  // Envoy's retriable-4xx is the one of which the caller may try again at once.
  if (status === 409 && retryOn.has("retriable-4xx")) return true;
  return retryOn.has("retriable-status-codes") && retriableStatuses.has(status);
}

const RESETS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "upstream-reset",
  "upstream-cancelled",
  "upstream-protocol-error",
  "upstream-timeout",
]);

/** A failure without an answer counts as the 5xx that the caller would get for it. */
const RESET: readonly RetryCondition[] = ["reset", "5xx", "gateway-error"];

const GRPC_CONDITIONS: Readonly<Record<number, RetryCondition>> = {
  1: "cancelled",
  4: "deadline-exceeded",
  8: "resource-exhausted",
  13: "internal",
  14: "unavailable",
};

function has(retryOn: ReadonlySet<RetryCondition>, any: readonly RetryCondition[]): boolean {
  return any.some((condition) => retryOn.has(condition));
}
