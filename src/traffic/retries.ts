import { closestWord } from "../core/closest-word.ts";
import { LIMITS } from "../core/limits.ts";
import { boolean, integer, object, optional, parsed, required, string, NOT_YET } from "../core/schema.ts";
import { DEFAULT_RETRY } from "./default-traffic.ts";
import { RETRY_CONDITIONS, type RetryCondition, type RetryPolicy } from "./service-traffic.ts";
import { POSITIVE_DURATION } from "../core/duration-schema.ts";

interface RetryOn {
  readonly retryOn: ReadonlySet<RetryCondition>;
  readonly retriableStatuses: ReadonlySet<number>;
}

const RETRY_ON = parsed(string(), (text): RetryOn => {
  const words = text.split(",").map((word) => word.trim());
  const statuses = words.filter((word) => /^[1-5]\d\d$/.test(word)).map(Number);
  const conditions = words.filter((word) => word !== "" && !/^[1-5]\d\d$/.test(word)).map(parseCondition);
  // As Istio adds it: statuses alone would never be looked at.
  if (statuses.length > 0) conditions.push("retriable-status-codes");
  if (conditions.length === 0) throw new Error("names no condition; leave it out to have the default");
  return { retryOn: new Set(conditions), retriableStatuses: new Set(statuses) };
});

const REMOTE_LOCALITIES = parsed(boolean(), (isAsked) => {
  if (isAsked) throw new Error(`${NOT_YET}: workloads have no locality here`);
  return isAsked;
});

const IGNORE_PREVIOUS_HOSTS = parsed(boolean(), (isAsked) => {
  if (!isAsked) throw new Error(`false ${NOT_YET}: a retry goes to another workload where there is one`);
  return isAsked;
});

/** VirtualService's `retries`. */
export const RETRIES = parsed(
  object({
    attempts: required(integer({ min: 0, max: LIMITS.retryAttemptsMax })),
    perTryTimeout: optional(POSITIVE_DURATION),
    retryOn: optional(RETRY_ON),
    backoff: optional(POSITIVE_DURATION),
    retryRemoteLocalities: optional(REMOTE_LOCALITIES),
    retryIgnorePreviousHosts: optional(IGNORE_PREVIOUS_HOSTS),
  }),
  ({ attempts, perTryTimeout, retryOn, backoff }): RetryPolicy => ({
    ...DEFAULT_RETRY,
    ...retryOn,
    isExplicit: true,
    attempts,
    perTryTimeoutMs: perTryTimeout ?? 0,
    backoffMs: backoff ?? DEFAULT_RETRY.backoffMs,
  }),
);

function parseCondition(word: string): RetryCondition {
  const known = RETRY_CONDITIONS.find((each) => each === word);
  if (known !== undefined) return known;
  const closest = closestWord(word, RETRY_CONDITIONS);
  const hint = closest === null ? `known are ${RETRY_CONDITIONS.join(", ")}` : `did you mean \`${closest}\`?`;
  throw new Error(`${JSON.stringify(word)} is no condition for a retry; ${hint}`);
}
