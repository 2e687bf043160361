import type { CardeaError } from "../../core/errors.ts";

/** What a failure to get an answer counts as among answers: what the caller would be told of it. */
export function failureStatus({ code }: CardeaError): 503 | 504 {
  return code === "upstream-timeout" || code === "upstream-connect-timeout" ? 504 : 503;
}

/** Whether a failure is the workload's, and neither the caller's nor ours. */
export function speaksAgainstWorkload({ code }: CardeaError): boolean {
  return code === "peer-identity-mismatch" || (code.startsWith("upstream-") && code !== "upstream-overflow");
}
